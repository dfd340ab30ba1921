"""Inventories, as Ansible itself understands them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.render.ansible import (
    InventoryHost,
    find_value,
    list_groups,
    list_parts,
    name_groups,
    render_host,
    render_inventory,
)

FACTS = {
    "name": "web",
    "vm-type": "default",
    "groups": ["front", "blue"],
    "tpm": True,
    "distro": None,
    "disks": [{"type": "template", "metadata": {"arch": "x86_64"}}, {"type": "empty"}],
    "metadata": {"role": "db", "ports": [80, 443], "empty": "", "deep": {"er": 1}},
}
VARIABLES = {
    "ansible_host": "192.168.200.2",
    "ansible_port": 22,
    "path": "/my lab/100%",
    "args": "-F '/my lab/ssh_config'",
    "quotes": 'it\'s "odd" \\ # no comment',
    "looks_like": "b'bytes'",
    "number": "123",
    "truth": "True",
    "yes": True,
    "template": "{{ no }} {% such %}",
    "lines": "a\nb",
    "ip6": "fd00:1::2",
    "set": "set()",
    "umlaut": "ü b",
    "map": {"a b": ["c", 1]},
    "nothing": "",
}


def make_host(name="web", groups=(), **variables):
    return InventoryHost(name=name, groups=groups, variables=variables)


@pytest.fixture
def ansible(tmp_path):
    """Return what ansible-inventory says of an inventory."""

    def ask(text, name):
        path = tmp_path / name
        path.write_text(text)
        done = subprocess.run(
            ["ansible-inventory", "-i", path, "--list"],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    return ask


@pytest.mark.parametrize(
    ("key", "groups"),
    [
        ("vm-type", ["vm-type=default"]),
        ("/vm-type", ["vm-type=default"]),
        ("groups", ["groups=front", "groups=blue"]),
        ("groups/1", ["groups/1=blue"]),
        ("disks/0/type", ["disks/0/type=template"]),
        ("/disks/1/type", ["disks/1/type=empty"]),
        ("disks/0/metadata/arch", ["disks/0/metadata/arch=x86_64"]),
        ("metadata/ports", ["metadata/ports=80", "metadata/ports=443"]),
        ("metadata/deep", ["metadata/deep/er=1"]),
        ("tpm", ["tpm=True"]),
        ("distro", []),
        ("metadata/empty", []),
        ("disks/7/type", []),
        ("disks/-1/type", []),
        ("disks/x", []),
        ("name/0", []),
        ("nothing", []),
    ],
)
def test_groups_by_a_key_path(key, groups):
    assert list(list_groups(FACTS, [key])) == groups


def test_the_whole_description_gives_a_group_for_each_of_its_values():
    found = list_groups(FACTS, ["/"])
    assert "vm-type=default" in found
    assert "disks/1/type=empty" in found
    assert "metadata/role=db" in found


def test_a_group_that_two_keys_give_is_there_once():
    assert list_groups(FACTS, ["vm-type", "/vm-type"]) == ("vm-type=default",)


def test_parts_are_told_for_hints():
    assert list_parts(find_value(FACTS, "disks")) == ("0", "1")
    assert list_parts(find_value(FACTS, "disks/0")) == ("type", "metadata")
    assert list_parts("text") == ()


def test_group_names_that_ansible_takes():
    named = name_groups(["vm-type=default", "web", "disks/0/type=template", "7up", "", "straße"])
    assert named == {
        "vm-type=default": "vm_type_default",
        "web": "web",
        "disks/0/type=template": "disks_0_type_template",
        "7up": "_7up",
        "": "_",
        "straße": "stra_e",
    }


def test_groups_that_would_be_called_the_same_are_kept_apart():
    named = name_groups(["a-b", "a_b", "a=b", "all", "ungrouped", "_meta"])
    assert named["a_b"] == "a_b"
    assert {named["a-b"], named["a=b"]} == {"a_b_2", "a_b_3"}
    assert [named[name] for name in ("all", "ungrouped", "_meta")] == [
        "all_2",
        "ungrouped_2",
        "_meta_2",
    ]


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_group_names_are_valid_unique_and_independent_of_the_order(groups):
    named = name_groups(groups)
    assert len(set(named.values())) == len(groups)
    assert all(name.isidentifier() and name.isascii() for name in named.values())
    assert name_groups(reversed(groups)) == named


@pytest.mark.parametrize(("form", "name"), [("ini", "hosts"), ("yaml", "hosts.yaml")])
def test_ansible_reads_every_value_as_it_was(form, name, ansible):
    hosts = [
        make_host("web", ("vm-type=default", "web-servers"), **VARIABLES),
        make_host("db", ("vm-type=default",), ansible_host="192.168.200.3"),
    ]
    found = ansible(render_inventory(hosts, form), name)
    web = found["_meta"]["hostvars"]["web"]
    assert web.pop("lago_groups") == {
        "vm-type=default": "vm_type_default",
        "web-servers": "web_servers",
    }
    template = web.pop("template")
    assert template == "{% raw %}{{ no }} {% such %}{% endraw %}"
    assert web == {key: value for key, value in VARIABLES.items() if key != "template"}
    assert found["vm_type_default"]["hosts"] == ["web", "db"]
    assert found["web_servers"]["hosts"] == ["web"]


def test_the_answer_of_a_dynamic_inventory():
    hosts = [make_host("web", ("a-b",), x=1), make_host("db")]
    assert json.loads(render_inventory(hosts, "json")) == {
        "_meta": {
            "hostvars": {"web": {"x": 1, "lago_groups": {"a-b": "a_b"}}, "db": {"lago_groups": {}}}
        },
        "all": {"hosts": ["web", "db"], "children": ["a_b"]},
        "a_b": {"hosts": ["web"]},
    }
    assert json.loads(render_host(hosts[0], hosts)) == {"x": 1, "lago_groups": {"a-b": "a_b"}}


@pytest.mark.parametrize("form", ["ini", "yaml", "json"])
def test_an_inventory_of_nothing(form, ansible, tmp_path):
    text = render_inventory([], form)
    if form == "json":
        assert json.loads(text)["all"] == {"hosts": [], "children": []}
    else:
        name = Path("hosts").with_suffix(".yaml" if form == "yaml" else "").name
        assert ansible(text, name)["_meta"]["hostvars"] == {}
