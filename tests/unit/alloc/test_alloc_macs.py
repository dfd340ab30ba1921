"""MAC addresses."""

import re
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.macs import allocate_bridge_mac, allocate_nic_mac, mac_of_address

UUID = "deadbeef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("192.168.200.2", "54:52:c0:a8:c8:02"),
        ("192.168.255.254", "54:52:c0:a8:ff:fe"),
        ("10.0.1.16", "54:52:0a:00:01:10"),
    ],
)
def test_the_mac_is_the_address_in_hex(address, mac):
    assert mac_of_address(int(IPv4Address(address))) == mac


@settings(deadline=None)
@given(vm=st.text(max_size=20), index=st.integers(0, 99))
def test_macs_of_nics_without_address_are_local_and_unicast(vm, index):
    mac = allocate_nic_mac(UUID, vm, index, set())
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac)
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert mac == allocate_nic_mac(UUID, vm, index, set())


def test_macs_depend_on_prefix_vm_and_index():
    macs = {
        allocate_nic_mac(uuid, vm, index, set())
        for uuid in (UUID, "f" * 32)
        for vm in ("a", "b")
        for index in (0, 1)
    }
    assert len(macs) == 8


@pytest.mark.parametrize(
    "allocate", [allocate_bridge_mac, lambda *a: allocate_nic_mac(*a[:2], 0, a[2])]
)
def test_a_taken_mac_is_not_given_again(allocate):
    taken = set()
    for _ in range(3):
        mac = allocate(UUID, "lan", taken)
        assert mac not in taken
        taken.add(mac)


def test_bridges_have_qemus_customary_macs():
    mac = allocate_bridge_mac(UUID, "lan", set())
    assert re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", mac)
