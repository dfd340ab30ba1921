"""Static addresses of nics, and whether subnets have room for all."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import attrs

from lago_sdk.spec.addresses import (
    AUTO_PREFIX,
    count_hosts,
    has_ip4,
    has_ip6,
    parse_host_octet,
    parse_ip4,
    parse_ip6,
    subnet_of,
    takes_host_octet,
)
from lago_sdk.spec.net import NetSpec, NetType, SubnetChoice

if TYPE_CHECKING:
    from lago_sdk.spec.nic import NicSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink


@attrs.define
class _Room:
    """What is known of one net while its nics are checked."""

    net: NetSpec
    subnet: IPv4Network | None
    by_octet: bool
    """Whether only the last octet of a static address counts."""
    taken: dict[int, str] = attrs.field(factory=dict)
    """IPv4 addresses (or host numbers, where the subnet is not known), and whose they are."""
    taken6: dict[IPv6Address, str] = attrs.field(factory=dict)


def check_addresses(spec: PrefixSpec, sink: Sink) -> None:
    """Check static addresses against their nets and each other, and count what is needed."""
    rooms = {net.name: _open_room(net) for net in spec.nets}
    wanted: Counter[str] = Counter()
    for vm in spec.vms:
        for index, nic in enumerate(vm.nics):
            room = rooms.get(nic.net)
            if room is None:
                continue
            wanted[nic.net] += 1
            path = ("domains", vm.name, "nics", index)
            if nic.ip is not None:
                _check_ip(nic, vm.name, room, (*path, "ip"), sink)
            if nic.ip6 is not None:
                _check_ip6(nic, vm.name, room, (*path, "ip6"), sink)
    for name, count in wanted.items():
        _check_size(rooms[name], count, sink)


def _open_room(net: NetSpec) -> _Room:
    subnet = subnet_of(net)
    room = _Room(net=net, subnet=subnet, by_octet=takes_host_octet(net))
    if net.type is not NetType.BRIDGE or net.gw is not None:
        owner = "the gateway"
        gateway = parse_ip4(net.gw) if net.gw is not None else None
        if subnet is None:
            room.taken[1] = owner
        else:
            first = int(subnet.network_address) + (1 if subnet.num_addresses > 2 else 0)
            room.taken[int(gateway) if gateway is not None else first] = owner
    return room


def _check_ip(nic: NicSpec, vm: str, room: _Room, path: Path, sink: Sink) -> None:
    text = nic.ip or ""
    net = room.net
    if net.subnet is SubnetChoice.NONE:
        message = f"the net {net.name!r} has no IPv4 addresses ('subnet: none')"
        sink.error(path, message, hint="remove the key 'ip'", code="no-subnet")
        return
    address = _host_of(text, room) if room.by_octet else parse_ip4(text)
    if address is None:
        shown = f"{text!r} is not an IPv4 address"
        hint = _octet_hint(room) if room.by_octet else _example(room)
        if parse_ip6(text) is not None:
            hint = "write IPv6 addresses under the key 'ip6'"
        sink.error(path, shown, hint=hint, code="bad-address")
        return
    number = int(address)
    if room.subnet is not None and not room.by_octet and address not in room.subnet:
        message = f"the address {address} is outside {room.subnet}, the subnet of {net.name!r}"
        sink.error(path, message, hint=_example(room), code="address-outside")
        return
    if _is_edge(number, room):
        message = f"{text} is the network or broadcast address of the net {net.name!r}"
        hint = _octet_hint(room) if room.by_octet else _example(room)
        sink.error(path, message, hint=hint, code="address-outside")
        return
    if number in room.taken:
        owner = room.taken[number]
        sink.error(
            path,
            f"the address {text} is that of {owner} already",
            hint="choose another, or leave the key out to get a free one",
            code="duplicate-address",
        )
        return
    room.taken[number] = repr(vm)


def _host_of(text: str, room: _Room) -> IPv4Address | None:
    """The address that a last octet means; a bare host number where the subnet is not known."""
    octet = parse_host_octet(text)
    if octet is None:
        return None
    base = 0 if room.subnet is None else int(room.subnet.network_address) & 0xFFFFFF00
    return IPv4Address(base | octet)


def _is_edge(number: int, room: _Room) -> bool:
    subnet = room.subnet
    if subnet is None:
        return room.by_octet and number in {0, 255}
    if not int(subnet.network_address) <= number <= int(subnet.broadcast_address):
        return True
    edges = {int(subnet.network_address), int(subnet.broadcast_address)}
    return subnet.num_addresses > 2 and number in edges


def _octet_hint(room: _Room) -> str:
    subnet = room.subnet
    if subnet is None:
        return "the last octet is what counts: 2 to 254"
    first = int(subnet.network_address) & 0xFF
    return f"the last octet is what counts: {first + 1} to {first + subnet.num_addresses - 2}"


def _example(room: _Room) -> str:
    if room.subnet is None:
        return "for example 192.168.210.4"
    count = count_hosts(room.subnet)
    return f"for example {room.subnet.network_address + min(count, 10)}"


def _check_ip6(nic: NicSpec, vm: str, room: _Room, path: Path, sink: Sink) -> None:
    text = nic.ip6 or ""
    net = room.net
    address = parse_ip6(text)
    if address is None:
        hint = "write IPv4 addresses under the key 'ip'" if parse_ip4(text) else None
        sink.error(path, f"{text!r} is not an IPv6 address", hint=hint, code="bad-address")
    elif not has_ip6(net) and not (net.type is NetType.BRIDGE and net.subnet6 is SubnetChoice.AUTO):
        sink.error(
            path,
            f"the net {net.name!r} has no IPv6 addresses",
            hint=f"give it a 'subnet6', for example {_around(address)}",
            code="no-subnet",
        )
    elif isinstance(net.subnet6, IPv6Network) and address not in net.subnet6:
        message = f"the address {address} is outside {net.subnet6}, the subnet6 of {net.name!r}"
        hint = f"for example {net.subnet6.network_address + 4}"
        sink.error(path, message, hint=hint, code="address-outside")
    elif address in room.taken6:
        message = f"the address {address} is that of {room.taken6[address]} already"
        sink.error(path, message, hint="choose another", code="duplicate-address")
    else:
        room.taken6[address] = repr(vm)


def _around(address: IPv6Address) -> IPv6Network:
    return IPv6Network((address, 64), strict=False)


def _check_size(room: _Room, count: int, sink: Sink) -> None:
    net = room.net
    if not has_ip4(net) or net.type is NetType.BRIDGE:
        return
    length = AUTO_PREFIX if room.subnet is None else room.subnet.prefixlen
    hosts = count_hosts(room.subnet) if room.subnet else 2 ** (32 - AUTO_PREFIX) - 2
    free = hosts - 1
    if count > free:
        needed = 32 - (count + 2).bit_length()
        shown = str(room.subnet) if room.subnet else f"a /{AUTO_PREFIX}"
        key = ("subnet",) if isinstance(net.subnet, IPv4Network) else ()
        sink.error(
            ("nets", net.name, *key),
            f"{count} nics are on the net {net.name!r}, and {shown} has room for {free} "
            "beside the gateway",
            hint=f"give it a larger 'subnet', for example 10.0.0.0/{min(needed, length - 1)}",
            code="addresses-exhausted",
        )
