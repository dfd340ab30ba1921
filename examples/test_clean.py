"""Tests that may break the lab: each finds it as it was. ``pytest examples/test_clean.py``.

The fixture ``lago_clean`` comes with lago_sdk. Before each test it puts memory and disks of all
VMs back to a snapshot, in less than a second; a lab that nobody has touched is left alone.
"""

from pathlib import Path

import pytest

from lago_sdk import Prefix


@pytest.fixture(scope="module")
def lago_init_file() -> Path:
    return Path(__file__).parent / "two-vms" / "LagoInitFile"


def test_a_vm_that_ignores_pings_is_not_reached(lago_clean: Prefix) -> None:
    web, db = lago_clean.vms["web"], lago_clean.vms["db"]
    for ignore in ("ipv4/icmp_echo_ignore_all", "ipv6/icmp/echo_ignore_all"):
        web.ssh(f"echo 1 > /proc/sys/net/{ignore}").check()
    web.ssh("rm /etc/hosts").check()
    assert db.ssh(["ping", "-c", "1", "-W", "1", "web"], timeout=30).code != 0


def test_it_is_reached_again(lago_clean: Prefix) -> None:
    assert lago_clean.vms["db"].ssh(["ping", "-c", "1", "web"], timeout=30).code == 0
    assert lago_clean.vms["web"].ssh("test -e /etc/hosts").code == 0
