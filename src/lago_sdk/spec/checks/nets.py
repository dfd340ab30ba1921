"""Nets: subnets, gateways, DHCP ranges, MTU."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, TypeAlias

from lago_sdk.spec.addresses import AUTO_PREFIX, has_ip4, has_ip6, parse_ip4, subnet_of
from lago_sdk.spec.net import NetType, SubnetChoice
from lago_sdk.spec.vm import LOCAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.spec.net import NetSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

MIN_MTU = 68
"""Smallest MTU of IPv4 (RFC 791)."""
MIN_MTU6 = 1280
"""Smallest MTU of IPv6 (RFC 8200, section 5)."""
MAX_MTU = 65535
MAX_BRIDGE_NAME = 15
"""Longest name of a network device (Linux: ``IFNAMSIZ`` less the closing NUL)."""


def check_nets(spec: PrefixSpec, sink: Sink) -> None:
    """Check each net for itself, and their subnets against each other."""
    is_local = any(vm.vm_provider in LOCAL for vm in spec.vms) or not spec.vms
    if not spec.nets and is_local:
        sink.error(
            ("nets",), "there are no nets", hint="add one: 'nets: {lan: {}}'", code="no-nets"
        )
    for net in spec.nets:
        path = ("nets", net.name)
        _check_gateway(net, path, sink)
        _check_dhcp(net, path, sink)
        _check_mtu(net, path, sink)
        _check_bridge(net, path, sink)
        _check_records(net, path, sink)
    _check_overlaps(spec, sink)


def _check_gateway(net: NetSpec, path: Path, sink: Sink) -> None:
    if net.gw is None:
        return
    place = (*path, "gw")
    gateway = parse_ip4(net.gw)
    if gateway is None:
        message = f"{net.gw!r} is not an IPv4 address"
        sink.error(place, message, hint="for example 192.168.210.1", code="bad-address")
        return
    if net.subnet is SubnetChoice.NONE:
        message = "a gateway makes no sense on a net without IPv4 ('subnet: none')"
        sink.error(place, message, hint="remove one of the two keys", code="no-subnet")
        return
    subnet = subnet_of(net)
    if subnet is None:
        return
    if gateway not in subnet:
        message = f"the gateway {gateway} is outside the subnet {subnet}"
        sink.error(place, message, hint=f"for example {_first_host(subnet)}", code="gw-outside")
    elif not _is_host(gateway, subnet):
        which = "network" if gateway == subnet.network_address else "broadcast"
        message = f"the gateway {gateway} is the {which} address of {subnet}"
        sink.error(place, message, hint=f"for example {_first_host(subnet)}", code="gw-outside")


def _first_host(subnet: IPv4Network) -> IPv4Address:
    return subnet.network_address + (1 if subnet.num_addresses > 2 else 0)


def _is_host(address: IPv4Address, subnet: IPv4Network) -> bool:
    if subnet.num_addresses <= 2:
        return True
    return address not in {subnet.network_address, subnet.broadcast_address}


def _check_dhcp(net: NetSpec, path: Path, sink: Sink) -> None:
    dhcp = net.dhcp
    if dhcp is None:
        return
    place = (*path, "dhcp")
    if net.type is NetType.BRIDGE:
        sink.warn(
            place,
            "nobody runs a DHCP server on a net of 'type: bridge'",
            hint="remove the key, or take 'type: nat' or 'type: isolated'",
            code="useless-key",
        )
        return
    if not has_ip4(net):
        if not has_ip6(net):
            message = "DHCP makes no sense on a net without addresses"
            hint = "remove the key, or 'subnet: none'"
            sink.error(place, message, hint=hint, code="no-subnet")
        return
    subnet = subnet_of(net)
    last = 2 ** (32 - (subnet.prefixlen if subnet else AUTO_PREFIX)) - 2
    for name, number in (("start", dhcp.start), ("end", dhcp.end)):
        if not 1 <= number <= last:
            sink.error(
                (*place, name),
                f"{number} is no host number of the subnet",
                hint=f"host numbers are 1 to {last}",
                code="bad-dhcp-range",
            )
    if dhcp.start > dhcp.end:
        sink.error(
            (*place, "start"),
            f"the DHCP range starts at {dhcp.start}, after its end at {dhcp.end}",
            hint="swap them",
            code="bad-dhcp-range",
        )


def _check_mtu(net: NetSpec, path: Path, sink: Sink) -> None:
    place = (*path, "mtu")
    if not MIN_MTU <= net.mtu <= MAX_MTU:
        message = f"an MTU of {net.mtu} is impossible"
        hint = f"{MIN_MTU} to {MAX_MTU}; 1500 is usual"
        sink.error(place, message, hint=hint, code="bad-mtu")
    elif net.mtu < MIN_MTU6 and has_ip6(net):
        sink.warn(
            place,
            f"IPv6 does not work with an MTU below {MIN_MTU6}",
            hint="raise it, or say 'subnet6: none'",
            code="small-mtu",
        )


def _check_bridge(net: NetSpec, path: Path, sink: Sink) -> None:
    if net.bridge is None:
        return
    place = (*path, "bridge")
    if net.type is not NetType.BRIDGE:
        message = f"'bridge' is for nets of 'type: bridge', and this one is {net.type.value!r}"
        sink.error(place, message, hint="add 'type: bridge'", code="bad-bridge")
    elif not net.bridge or len(net.bridge) > MAX_BRIDGE_NAME or not _is_device_name(net.bridge):
        sink.error(
            place,
            f"{net.bridge!r} cannot be the name of a bridge",
            hint=f"at most {MAX_BRIDGE_NAME} characters without spaces, '/' and ':'",
            code="bad-bridge",
        )


def _is_device_name(name: str) -> bool:
    return name.isprintable() and not set(name) & set("/: \t") and name not in {".", ".."}


def _check_records(net: NetSpec, path: Path, sink: Sink) -> None:
    for name, text in net.dns_records.items():
        try:
            ip_address(text)
        except ValueError:
            place = (*path, "dns_records", name)
            sink.error(place, f"{text!r} is not an IP address", code="bad-address")


_Network: TypeAlias = IPv4Network | IPv6Network


def _check_overlaps(spec: PrefixSpec, sink: Sink) -> None:
    """Compare the subnets that keys fix with each other."""
    fixed4 = [(found, net) for net in spec.nets if (found := subnet_of(net)) is not None]
    fixed6 = [(net.subnet6, net) for net in spec.nets if isinstance(net.subnet6, IPv6Network)]
    order = {net.name: index for index, net in enumerate(spec.nets)}
    _compare([*fixed4], order, sink)
    _compare([*fixed6], order, sink)


def _compare(fixed: list[tuple[_Network, NetSpec]], order: Mapping[str, int], sink: Sink) -> None:
    """Tell which subnets overlap: sorted, each is held against the widest before it."""
    fixed.sort(key=lambda x: (int(x[0].network_address), x[0].prefixlen, order[x[1].name]))
    widest: tuple[_Network, NetSpec] | None = None
    for subnet, net in fixed:
        if widest is None or int(subnet.network_address) > int(widest[0].broadcast_address):
            widest = (subnet, net)
            continue
        pair = sorted(((subnet, net), widest), key=lambda x: order[x[1].name])
        (earlier, other), (later, told) = pair
        sink.error(
            ("nets", told.name, _subnet_key(told, later)),
            f"the subnet {later} overlaps {earlier} of the net {other.name!r}",
            hint="give them different subnets, or leave one out to be given a free one",
            code="subnet-overlap",
        )


def _subnet_key(net: NetSpec, subnet: _Network) -> str:
    if subnet.version == 6:
        return "subnet6"
    return "subnet" if isinstance(net.subnet, IPv4Network) else "gw"
