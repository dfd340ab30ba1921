"""Which subnet each net gets.

Lago's rule: nets without a subnet of their own take the lowest free /24 of 192.168.200.0/24 …
192.168.255.0/24, in file order. What is written out is honoured first, whatever the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import attrs

from lago_sdk.alloc.ranges import RangeSet
from lago_sdk.spec.addresses import AUTO_PREFIX, LEASABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ULA_BASE = 0xFD8F_1391_3A82 << 80
"""``fd8f:1391:3a82::/48``, the unique local prefix that Lago's nets are in."""
_LOW_64 = (1 << 64) - 1
_FIRST_SPARE_ID = 0x1000
"""Subnet ids from here on are nobody's third octet written in decimal digits."""
_LAST_SPARE_ID = 0xFFFF

_SOMEBODY = ""
"""Owner of what others on the host use."""

_Network: TypeAlias = IPv4Network | IPv6Network
_N = TypeVar("_N", IPv4Network, IPv6Network)


@attrs.frozen(kw_only=True)
class SubnetConflict:
    """A subnet that was asked for and cannot be had."""

    net: str
    other: str | None
    """The net that has an overlapping one; ``None`` when it is somebody else on the host."""


@attrs.frozen(kw_only=True)
class SubnetAllocation:
    """What came of allocating subnets of one family."""

    subnets: Mapping[str, IPv4Network]
    """By name of the net, those that got one."""
    conflicts: tuple[SubnetConflict, ...]
    """Written subnets that overlap something."""
    unserved: tuple[str, ...]
    """Nets for which no subnet was left."""
    free: int
    """How many subnets were free for nets that did not write one."""


@attrs.frozen(kw_only=True)
class SubnetAllocation6:
    """What came of allocating IPv6 subnets."""

    subnets: Mapping[str, IPv6Network]
    conflicts: tuple[SubnetConflict, ...]


def allocate_subnets(
    wanted: Sequence[tuple[str, IPv4Network | None]], *, taken: Iterable[IPv4Network] = ()
) -> SubnetAllocation:
    """Decide the IPv4 subnet of each net.

    Args:
        wanted: Each net's name and the subnet it asks for, ``None`` for any; in file order.
        taken: Subnets that others use.
    """
    used = _ranges_of(taken)
    subnets, conflicts = _take_written(wanted, used)
    free = list(_free_subnets(used))
    asking = [name for name, subnet in wanted if subnet is None]
    subnets.update(zip(asking, free, strict=False))
    return SubnetAllocation(
        subnets=subnets,
        conflicts=conflicts,
        unserved=tuple(asking[len(free) :]),
        free=len(free),
    )


def allocate_subnets6(
    wanted: Sequence[tuple[str, IPv6Network | IPv4Network | None]],
    *,
    taken: Iterable[IPv6Network] = (),
) -> SubnetAllocation6:
    """Decide the IPv6 subnet of each net.

    Args:
        wanted: Each net's name and what it asks for, in file order: an IPv6 subnet; any one that
            goes with its IPv4 subnet, where that is given; or any one at all (``None``).
            One that goes with 192.168.210.0/24 is ``fd8f:1391:3a82:210::/64``, as Lago has it:
            the third octet, in decimal digits. Where somebody has that already, and on nets
            without IPv4, it is the first free one of ``fd8f:1391:3a82:1000::/64`` and up.
        taken: Subnets that others use.
    """
    used = _ranges_of(taken)
    written = [(name, ask if isinstance(ask, IPv6Network) else None) for name, ask in wanted]
    subnets, conflicts = _take_written(written, used)
    pending: list[str] = []
    for name, ask in wanted:
        if isinstance(ask, IPv6Network):
            continue
        octet = None if ask is None else int(ask.network_address) >> 8 & 0xFF
        subnet_id = None if octet is None else int(str(octet), 16)
        if subnet_id is not None and _take_ula(used, subnet_id, name):
            subnets[name] = _ula(subnet_id)
        else:
            pending.append(name)
    spare = _FIRST_SPARE_ID
    for name in pending:
        while spare <= _LAST_SPARE_ID and not _take_ula(used, spare, name):
            spare += 1
        if spare > _LAST_SPARE_ID:
            conflicts = (*conflicts, SubnetConflict(net=name, other=None))
        else:
            subnets[name] = _ula(spare)
    return SubnetAllocation6(subnets=subnets, conflicts=conflicts)


def _take_written(
    wanted: Sequence[tuple[str, _N | None]], used: RangeSet
) -> tuple[dict[str, _N], tuple[SubnetConflict, ...]]:
    subnets: dict[str, _N] = {}
    conflicts: list[SubnetConflict] = []
    for name, subnet in wanted:
        if subnet is None:
            continue
        other = _take(used, subnet, name)
        if other is None:
            subnets[name] = subnet
        else:
            conflicts.append(SubnetConflict(net=name, other=other or None))
    return subnets, tuple(conflicts)


def _take(used: RangeSet, subnet: _Network, owner: str) -> str | None:
    return used.add(int(subnet.network_address), int(subnet.broadcast_address), owner)


def _ranges_of(taken: Iterable[_Network]) -> RangeSet:
    used = RangeSet()
    used.add_nested(
        (int(subnet.network_address), int(subnet.broadcast_address), _SOMEBODY) for subnet in taken
    )
    return used


def _free_subnets(used: RangeSet) -> Iterator[IPv4Network]:
    first, last = map(int, LEASABLE)
    size = 1 << (32 - AUTO_PREFIX)
    for base in range(first, last, size):
        if used.find_overlap(base, base + size - 1) is None:
            yield IPv4Network((base, AUTO_PREFIX))


def _take_ula(used: RangeSet, subnet_id: int, owner: str) -> bool:
    # On numbers: a network object for each of tens of thousands of tries takes seconds.
    first = _ULA_BASE | subnet_id << 64
    return used.add(first, first | _LOW_64, owner) is None


def _ula(subnet_id: int) -> IPv6Network:
    return IPv6Network((_ULA_BASE | subnet_id << 64, 64))
