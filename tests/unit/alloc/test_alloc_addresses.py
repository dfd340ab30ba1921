"""Which host addresses are handed out."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.addresses import AddressPool


def number(text):
    return int(IPv4Address(text))


def drain(pool):
    return list(iter(pool.allocate, None))


def test_the_first_host_comes_last_where_the_gateway_is_elsewhere():
    pool = AddressPool(IPv4Network("10.0.0.0/29"), reserved=[number("10.0.0.6")])
    assert [address & 0xFF for address in drain(pool)] == [2, 3, 4, 5, 1]


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
        ("10.0.0.0/29", [2, 3, 4, 5, 6, 1]),
        ("10.0.0.0/30", [2, 1]),
        ("10.0.0.0/31", [1, 0]),
        ("10.0.0.0/32", [0]),
    ],
)
def test_small_subnets(subnet, hosts):
    base = number("10.0.0.0")
    assert drain(AddressPool(IPv4Network(subnet))) == [base + host for host in hosts]


def test_in_ipv6_the_last_address_is_a_host():
    subnet = IPv6Network("fd00::/126")
    assert drain(AddressPool(subnet)) == [int(subnet.network_address) + host for host in (2, 3, 1)]


def test_network_and_broadcast_are_no_hosts():
    pool = AddressPool(IPv4Network("10.0.0.0/24"))
    inside = [host for host in range(-1, 257) if number("10.0.0.0") + host in pool]
    assert inside == list(range(1, 255))


@settings(deadline=None)
@given(
    length=st.integers(20, 30),
    written=st.lists(st.integers(0, 4095), max_size=20),
    gateway=st.integers(0, 4095),
)
def test_every_free_host_is_handed_out_once_in_order(length, written, gateway):
    subnet = IPv4Network(("10.0.0.0", length))
    base = int(subnet.network_address)
    pool = AddressPool(subnet, reserved=[base + gateway])
    for host in written:
        pool.take(base + host)
    found = drain(pool)
    used = {base + host for host in (*written, gateway)}
    hosts = [*range(base + 2, int(subnet.broadcast_address)), base + 1]
    assert found == [address for address in hosts if address not in used]
