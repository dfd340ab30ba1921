"""The forms in which data is written."""

import json

import pytest
from conftest import make_status
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lago_cli.output import render, render_table
from lago_cli.tables import plan_data, plan_tables, status_data, status_tables
from lago_sdk import plan_spec

LAGO_FORM = """\
[Prefix]:
    Base directory: /lab/default
    Host: private
    Name: default
    [Networks]:
        [lan]:
            gateway: 192.168.200.1
            management: True
            network: ffff-lan
            status: up
            subnet: 192.168.200.0/24
    UUID: ffffffffffffffffffffffffffffffff
    [VMs]:
        [web]:
            [NICs]:
                [eth0]:
                    ip: 192.168.200.2
                    mac: 54:52:c0:a8:c8:02
                    network: lan
                [eth1]:
                    ip: N/A
                    mac: 54:52:00:00:00:01
                    network: raw
            domain: ffffffff-web
            ip: 192.168.200.2
            [metadata]:
                [ports]:
                    80
                    443
                role: front
            snapshots: a, b
            status: running"""


def test_status_in_lagos_form():
    assert render(status_data(make_status()), "default") == LAGO_FORM


def test_status_in_flat_form_drops_the_outer_prefix():
    lines = render(status_data(make_status()), "flat").splitlines()
    assert "VMs/web/status: running" in lines
    assert "Networks/lan/status: up" in lines
    assert "VMs/web/metadata/ports/1: 443" in lines
    assert not [line for line in lines if line.startswith("Prefix")]


def test_status_in_json_is_sorted_and_indented_by_four():
    text = render(status_data(make_status()), "json")
    assert json.loads(text)["Prefix"]["VMs"]["web"]["NICs"]["eth0"]["network"] == "lan"
    assert text.splitlines()[1] == '    "Prefix": {'
    assert text.index('"Base directory"') < text.index('"UUID"') < text.index('"VMs"')


@pytest.mark.parametrize("form", ["default", "flat"])
def test_a_list_of_names_is_one_a_line(form):
    assert render(["default", "nightly"], form) == "default\nnightly"


def test_empty_things_are_left_out_in_lagos_form():
    assert render({"a": {}, "b": None, "c": "", "d": [], "e": 0, "f": False}, "default") == (
        "e: 0\nf: False"
    )


def test_mappings_in_a_list_are_numbered_in_lagos_form():
    assert render([{"a": 1}, {"a": 2}], "default") == "[0]:\n    a: 1\n[1]:\n    a: 2"


def test_yaml_reads_like_yaml():
    data = {"vms": {"web": {"ip": "10.0.0.2", "up": True, "nics": [{"net": "lan", "mtu": 1}]}}}
    assert render(data, "yaml") == (
        'vms:\n  web:\n    ip: "10.0.0.2"\n'
        "    nics:\n      - mtu: 1\n        net: lan\n    up: true"
    )


_scalars = st.none() | st.booleans() | st.integers() | st.text()
_texts = st.text() | st.sampled_from(
    [
        *("yes", "no", "null", "~", "1e3", "0x1f", "2024-01-01", "a: b", "- x", "#", "", ".5"),
        *("Null", "OFF", ".NaN", "<<", "=", "a #b", "a:", "\u2028", "\ufeff", "\x85", "12:30"),
    ]
)
_data = st.recursive(
    _scalars | _texts,
    lambda inner: st.lists(inner) | st.dictionaries(_texts, inner),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50)
@given(_data)
def test_yaml_says_what_the_data_are(data):
    for version in (None, "1.1"):
        yaml = YAML(typ="safe", pure=True)
        if version and isinstance(data, (dict, list)):
            yaml.version = version
        assert yaml.load(render(data, "yaml")) == data


@settings(max_examples=50)
@given(_data)
def test_json_says_what_the_data_are(data):
    assert json.loads(render(data, "json")) == data


def test_tables_align_and_leave_empty_columns_out():
    rows = [("web", None, "10.0.0.2"), ("longer", "", None)]
    assert render_table("", ("VM", "DISTRO", "ADDRESS"), rows) == (
        "VM      ADDRESS\nweb     10.0.0.2\nlonger  -"
    )


def test_a_table_without_rows_is_its_head():
    assert render_table("Nets", ("A", "B"), []) == "Nets\nA  B"


def test_status_for_people():
    text = status_tables(make_status())
    assert text.splitlines()[0] == "default on private in /lab/default"
    assert "web  running  192.168.200.2  lan=192.168.200.2, raw=-  a, b" in text
    assert "lan  up     192.168.200.0/24  192.168.200.1  yes         ffff-lan" in text


def test_a_plan_tells_how_guests_are_prepared_and_why():
    plan = plan_spec(
        {"domains": {"web": {"bootstrap": "credentials"}, "db": {}}, "nets": {"lan": {}}}
    )
    text = plan_tables(plan)
    assert "VM   BOOTSTRAP    BECAUSE" in text
    assert "web  credentials  the init file says so" in text
    assert "db   seed         its first disk has no guest yet" in text
    found = plan_data(plan)["vms"]["db"]
    assert (found["bootstrap"], found["bootstrap_reason"]) == (
        "seed",
        "its first disk has no guest yet",
    )
