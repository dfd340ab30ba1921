"""What the addresses in a spec mean: which subnet a net's keys fix, and what a nic's ``ip`` asks.

Lago's rule for static addresses on subnets that are given out: only the last octet counts, so
``0.0.0.10`` and ``300.300.300.10`` both ask for host 10 of whatever subnet the net gets.
"""

from __future__ import annotations

import functools
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from lago_sdk.spec.net import NetType, SubnetChoice

if TYPE_CHECKING:
    from lago_sdk.spec.net import NetSpec

AUTO_PREFIX = 24
"""Prefix length of IPv4 subnets that are allocated, and of those that ``gw`` chooses."""
LEASABLE = (IPv4Address("192.168.200.0"), IPv4Address("192.168.255.255"))
"""First and last address of the range that allocated subnets are taken from (Lago 0.46)."""

_OCTET = re.compile(r"(?:.*\.)?([0-9]{1,3})\Z")


@functools.lru_cache(maxsize=8192)
def parse_ip4(text: str) -> IPv4Address | None:
    """Return *text* as an IPv4 address, or ``None`` when it is none."""
    try:
        return IPv4Address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=8192)
def parse_ip6(text: str) -> IPv6Address | None:
    """Return *text* as an IPv6 address, or ``None`` when it is none."""
    try:
        return IPv6Address(text)
    except ValueError:
        return None


def parse_host_octet(text: str) -> int | None:
    """Return the last octet of an address whose other parts may be nonsense, or ``None``."""
    match = _OCTET.match(text)
    octet = int(match.group(1)) if match else 256
    return octet if octet <= 255 else None


def subnet_of(net: NetSpec) -> IPv4Network | None:
    """Return the IPv4 subnet that a net's keys fix: by ``subnet``, else the /24 of ``gw``."""
    if isinstance(net.subnet, IPv4Network):
        return net.subnet
    gateway = parse_ip4(net.gw) if net.gw is not None else None
    if gateway is None or net.subnet is SubnetChoice.NONE:
        return None
    return IPv4Network((gateway, AUTO_PREFIX), strict=False)


def takes_host_octet(net: NetSpec) -> bool:
    """Whether only the last octet of a nic's ``ip`` counts on *net*: its subnet is given out.

    So it is too where the net's keys fix one of the range that subnets are given out from.
    """
    subnet = subnet_of(net)
    if subnet is None:
        return net.subnet is SubnetChoice.AUTO and net.type is not NetType.BRIDGE
    first, last = LEASABLE
    return subnet.prefixlen >= AUTO_PREFIX and first <= subnet.network_address <= last


def has_ip4(net: NetSpec) -> bool:
    """Whether *net* has an IPv4 subnet that VMs get addresses of."""
    return net.subnet is not SubnetChoice.NONE and (
        subnet_of(net) is not None or net.type is not NetType.BRIDGE
    )


def has_ip6(net: NetSpec) -> bool:
    """Whether *net* has an IPv6 subnet that VMs get addresses of."""
    return isinstance(net.subnet6, IPv6Network) or (
        net.subnet6 is SubnetChoice.AUTO and net.type is NetType.NAT
    )


def count_hosts(subnet: IPv4Network) -> int:
    """Return how many host addresses *subnet* has: all but its first and last, where it is so."""
    total = subnet.num_addresses
    return total - 2 if total > 2 else total
