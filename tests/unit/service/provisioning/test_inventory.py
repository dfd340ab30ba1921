"""Prefixes as Ansible inventories."""

import json
from pathlib import Path

import pytest
from fake_labs import lab_spec, make_lab, vm

from lago_sdk.errors import LagoError, VMError, VMNotFoundError
from lago_sdk.plan.models import DiskPlan, Image
from lago_sdk.service.provisioning.inventory import describe_vm, find_python
from lago_sdk.spec.disk import DiskBus, DiskFormat, TemplateDisk

SECRETS = {"root-password": "geheim", "ssh-password": "geheim", "user-data": {"x": "geheim"}}


@pytest.fixture
def lab(tmp_path):
    """A prefix whose VMs are in groups, and its world."""
    spec = lab_spec(
        web=vm(groups=["web-servers", "all"], **{"vm-type": "front"}, **SECRETS),
        db=vm(groups=["web_servers"], metadata={"role": "db"}, **{"ssh-user": "ann"}),
        lone=vm(nics=[]),
    )
    return make_lab(tmp_path, spec)


def answer(prefix, keys=None):
    return json.loads(prefix.ansible_inventory(keys, format="json"))


def members(prefix, keys=None):
    return {
        group: found["hosts"]
        for group, found in answer(prefix, keys).items()
        if group not in {"_meta", "all"}
    }


def test_groups_are_lagos_by_default(lab):
    prefix, _ = lab
    assert members(prefix) == {
        "vm_type_front": ["web"],
        "vm_type_default": ["db"],
        "groups_web_servers": ["web"],
        "groups_web_servers_2": ["db"],
        "groups_all": ["web"],
        "vm_provider_local_libvirt": ["web", "db"],
        "web_servers": ["db"],
        "web_servers_2": ["web"],
        "all_2": ["web"],
    }


def test_groups_by_keys_come_with_the_named_ones(lab):
    prefix, _ = lab
    named = {"web_servers": ["db"], "web_servers_2": ["web"], "all_2": ["web"]}
    assert members(prefix, "metadata/role") == {"metadata_role_db": ["db"], **named}
    by_keys = members(prefix, ["/nics/0/net", "disks/0/template_name"])
    assert (
        by_keys
        == {"nics_0_net_lan": ["web", "db"], "disks_0_template_name_tiny": ["web", "db"]} | named
    )
    assert members(prefix, ()) == named


def test_what_lets_ansible_in(lab):
    prefix, _ = lab
    db = answer(prefix)["_meta"]["hostvars"]["db"]
    groups = db.pop("lago_groups")
    assert groups["vm-type=default"] == "vm_type_default"
    assert groups["web_servers"] == "web_servers"
    assert db == {
        "ansible_host": prefix.vms["db"].ip,
        "ansible_port": 22,
        "ansible_user": "ann",
        "ansible_ssh_private_key_file": str(prefix.path / "id_ed25519"),
        "ansible_ssh_common_args": f"-F {prefix.path}/ssh_config",
        "ansible_control_path": f"%(directory)s/{prefix.uuid[:8]}-1-%%p-%%r",
    }
    assert json.loads(prefix.ansible_host("db")) == {**db, "lago_groups": groups}


def test_the_ssh_config_it_refers_to_is_there(lab):
    prefix, _ = lab
    (prefix.path / "ssh_config").unlink()
    prefix.ansible_inventory()
    assert (prefix.path / "ssh_config").exists()


def test_a_vm_without_an_address_is_left_out_and_told_of(lab):
    prefix, world = lab
    assert "lone" not in prefix.ansible_inventory()
    assert "not in the inventory: lone (no address)" in [
        getattr(event, "message", None) for event in world.log.events
    ]
    with pytest.raises(VMError, match="'lone' has no address"):
        prefix.ansible_host("lone")


def test_an_unknown_vm_is_told_with_those_there_are(lab):
    prefix, _ = lab
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        prefix.ansible_host("wev")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("vm-typ", "did you mean 'vm-type'"),
        ("metadata/rule", "did you mean 'role'"),
        ("disks/1", "there are: 0"),
        ("disks/0/tipe", "did you mean 'type'"),
        ("ssh-password", ""),
        ("memory/0", ""),
    ],
)
def test_a_key_path_that_no_vm_has_is_told(lab, key, hint):
    prefix, _ = lab
    with pytest.raises(LagoError, match="no VM has anything at the key path") as caught:
        prefix.ansible_inventory(key)
    assert hint in (caught.value.hint or "")
    with pytest.raises(LagoError, match="no VM has"):
        prefix.ansible_inventory(["vm-type", key])


def test_keys_of_every_vm_are_known_even_where_nobody_uses_them(tmp_path):
    prefix, _ = make_lab(tmp_path)
    assert members(prefix, "/groups") == {}


def test_passwords_make_no_groups(lab):
    prefix, _ = lab
    for form in ("ini", "yaml", "json"):
        assert "geheim" not in prefix.ansible_inventory("/", format=form)


def test_an_unknown_format_is_told(lab):
    prefix, _ = lab
    with pytest.raises(LagoError, match="no inventory format 'yml'"):
        prefix.ansible_inventory(format="yml")
    manager = prefix.ansible_inventory_file(format="json")
    with pytest.raises(LagoError, match="no inventory files of the format 'json'"), manager:
        pass


@pytest.mark.parametrize("form", ["ini", "yaml"])
def test_the_inventory_is_in_a_file_for_a_while(lab, form):
    prefix, _ = lab
    with prefix.ansible_inventory_file(format=form) as path:
        assert path.read_text() == prefix.ansible_inventory(format=form)
    assert not Path(path).parent.exists()


def test_the_description_has_what_was_decided(lab):
    prefix, _ = lab
    facts = describe_vm(prefix.plan.get_vm("web"))
    assert facts["nics"][0]["ip"] == prefix.vms["web"].ip
    assert facts["nics"][0]["net"] == "lan"
    assert facts["disks"][0]["template_name"] == "tiny"
    assert facts["memory"] == 64
    assert facts["name"] == "web"


@pytest.mark.parametrize(
    ("own", "template", "python"),
    [
        ({}, {}, None),
        ({}, {"packages": {"python3": "3.11"}}, "/usr/bin/python3"),
        ({}, {"packages": {"busybox": "1"}}, None),
        ({}, {"python": "/usr/libexec/platform-python"}, "/usr/libexec/platform-python"),
        ({"python": "/opt/python"}, {"packages": {"python3": "3.11"}}, "/opt/python"),
    ],
)
def test_the_guests_python_where_something_tells(own, template, python):
    disk = DiskPlan(
        spec=TemplateDisk(name="root", dev="vda", template_name="x", metadata=own),
        name="root",
        dev="vda",
        bus=DiskBus.VIRTIO,
        path="x",
        format=DiskFormat.QCOW2,
        backing=Image(path="/x", size=1, metadata=template),
    )
    assert find_python([disk]) == python
    assert find_python([]) is None
