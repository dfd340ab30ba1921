"""Which host addresses are handed out."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lago_sdk.alloc.addresses import AddressPool, graft_host


def number(text):
    return int(IPv4Address(text))


def drain(pool):
    return list(iter(pool.allocate, None))


def test_hosts_are_handed_out_from_the_second_on():
    pool = AddressPool(IPv4Network("192.168.200.0/24"), reserved=[number("192.168.200.1")])
    assert pool.allocate() == number("192.168.200.2")
    assert drain(pool)[-1] == number("192.168.200.254")
    assert pool.allocate() is None


def test_neither_written_nor_reserved_addresses_are_handed_out():
    pool = AddressPool(IPv4Network("192.168.200.0/24"), reserved=[number("192.168.200.4")])
    assert pool.take(number("192.168.200.2"))
    assert not pool.take(number("192.168.200.2"))
    assert not pool.take(number("192.168.200.4"))
    assert [pool.allocate() for _ in range(3)] == [
        number(f"192.168.200.{host}") for host in (3, 5, 6)
    ]


@pytest.mark.parametrize(
    ("subnet", "hosts"),
    [
        ("10.0.0.0/29", [2, 3, 4, 5, 6]),
        ("10.0.0.0/30", [2]),
        ("10.0.0.0/31", [1]),
        ("10.0.0.0/32", [0]),
    ],
)
def test_small_subnets(subnet, hosts):
    base = number("10.0.0.0")
    assert drain(AddressPool(IPv4Network(subnet))) == [base + host for host in hosts]


def test_in_ipv6_the_last_address_is_a_host():
    subnet = IPv6Network("fd00::/126")
    assert drain(AddressPool(subnet)) == [int(subnet.network_address) + host for host in (2, 3)]


def test_network_and_broadcast_are_no_hosts():
    pool = AddressPool(IPv4Network("10.0.0.0/24"))
    inside = [host for host in range(-1, 257) if number("10.0.0.0") + host in pool]
    assert inside == list(range(1, 255))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("999.999.999.150", "192.168.210.150"),
        ("0.0.0.10", "192.168.210.10"),
        ("192.168.210.7", "192.168.210.7"),
        ("42", "192.168.210.42"),
        ("1.2.3.256", None),
        ("1.2.3.", None),
        ("1.2.3.x", None),
        ("1.2.3.-4", None),
        ("1.2.3.٣", None),
        ("1.2.3.0007", None),
        ("", None),
    ],
)
def test_only_the_last_octet_is_grafted(text, expected):
    found = graft_host(IPv4Network("192.168.210.0/24"), text)
    assert found == (None if expected is None else number(expected))


def test_the_whole_last_octet_is_grafted_on_smaller_subnets():
    assert graft_host(IPv4Network("192.168.210.64/26"), "0.0.0.70") == number("192.168.210.70")


@given(
    length=st.integers(20, 30),
    written=st.lists(st.integers(0, 4095), max_size=20),
    gateway=st.integers(0, 4095),
)
def test_handed_out_addresses_are_free_hosts_in_rising_order(length, written, gateway):
    subnet = IPv4Network(("10.0.0.0", length))
    base = int(subnet.network_address)
    pool = AddressPool(subnet, reserved=[base + gateway])
    for host in written:
        pool.take(base + host)
    found = drain(pool)
    assert found == sorted(set(found))
    used = {base + host for host in (*written, gateway)}
    hosts = range(base + 2, int(subnet.broadcast_address))
    assert found == [address for address in hosts if address not in used]
