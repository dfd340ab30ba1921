"""Network configuration in the files of a guest, by what it configures its network with.

Sources: netplan(5), systemd.network(5), nm-settings-keyfile(5), interfaces(5), and sysconfig.txt
of the initscripts of Enterprise Linux 7.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from lago_sdk.plan.models import AddressMethod
from lago_sdk.render.cloud_init import network_config
from lago_sdk.render.guest_nics import (
    list_addresses,
    list_routes,
    name_servers,
    route_metric,
)
from lago_sdk.render.networkd import render_links, render_networkd
from lago_sdk.render.yaml import render_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan


class NetworkStyle(enum.Enum):
    """What configures a guest's network at boot."""

    NETPLAN = "netplan"
    NETWORKD = "systemd-networkd"
    IFCFG = "ifcfg files"
    KEYFILE = "NetworkManager"
    INTERFACES = "ifupdown"


_NETPLAN = "/etc/netplan"
_NETWORKD_UNIT = "/usr/lib/systemd/system/systemd-networkd.service"
_NETWORKD_WANTED = (
    "/etc/systemd/system/dbus-org.freedesktop.network1.service",
    "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
)
_UDEV = "/usr/lib/systemd/systemd-udevd"
_UDEV_BEFORE_MERGE = "/lib/systemd/systemd-udevd"
_IFCFG = "/etc/sysconfig/network-scripts"
_RENAMES = "/usr/lib/udev/rename_device"
"""Gives nics the names of their ifcfg files; from Enterprise Linux 8 on it is not there."""
_MANAGER = "/usr/sbin/NetworkManager"
_INTERFACES = "/etc/network/interfaces"
_IFUP = ("/usr/sbin/ifup", "/sbin/ifup")

STYLE_SIGNS = (
    _NETPLAN,
    _NETWORKD_UNIT,
    *_NETWORKD_WANTED,
    _UDEV,
    _UDEV_BEFORE_MERGE,
    _IFCFG,
    _RENAMES,
    _MANAGER,
    _INTERFACES,
    *_IFUP,
)
"""Paths in a guest by which `find_style` decides."""
_KEYFILES = UUID("6c61676f-5f73-4b64-8b2e-6b657966696c")
"""Namespace of the uuids of connections (RFC 9562, version 5)."""


def find_style(there: Collection[str]) -> NetworkStyle | None:
    """Return what configures the network of a guest that has the paths *there*, or ``None``.

    What is switched on wins over what is only installed.
    """
    if _NETPLAN in there:
        return NetworkStyle.NETPLAN
    if any(path in there for path in _NETWORKD_WANTED):
        return NetworkStyle.NETWORKD
    if _IFCFG in there and _RENAMES in there:
        return NetworkStyle.IFCFG
    if _MANAGER in there:
        return NetworkStyle.KEYFILE
    if _IFCFG in there:
        return NetworkStyle.IFCFG
    if _INTERFACES in there and any(path in there for path in _IFUP):
        return NetworkStyle.INTERFACES
    return NetworkStyle.NETWORKD if _NETWORKD_UNIT in there else None


def render_network(
    vm: VMPlan, nets: Mapping[str, NetPlan], style: NetworkStyle, there: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files that configure the nics of *vm*, and links, by path.

    Args:
        vm: The VM; it has nics.
        nets: All nets of its prefix, by name.
        style: What reads the files.
        there: Those of `STYLE_SIGNS` that are in the guest.
    """
    if style is NetworkStyle.NETPLAN:
        text = render_yaml({"network": network_config(vm, nets)})
        return {f"{_NETPLAN}/90-lago.yaml": text}, {}
    has_udev = _UDEV in there or _UDEV_BEFORE_MERGE in there
    files = render_links(vm) if has_udev else {}
    if style is NetworkStyle.NETWORKD:
        is_on = any(path in there for path in _NETWORKD_WANTED)
        links = {} if is_on else dict.fromkeys(_NETWORKD_WANTED, _NETWORKD_UNIT)
        return files | render_networkd(vm, nets), links
    if style is NetworkStyle.INTERFACES:
        lines = [line for nic in vm.nics for line in _stanzas(nic, vm, nets[nic.net])]
        has_loopback = ["auto lo", "iface lo inet loopback", ""]
        return files | {_INTERFACES: "\n".join([*has_loopback, *lines])}, {}
    for nic in vm.nics:
        net = nets[nic.net]
        if style is NetworkStyle.IFCFG:
            path, make = f"{_IFCFG}/ifcfg-eth{nic.index}", _ifcfg
        else:
            place = "/etc/NetworkManager/system-connections"
            path, make = f"{place}/lago-eth{nic.index}.nmconnection", _keyfile
        files[path] = "".join(f"{line}\n" for line in make(nic, vm, net))
    return files, {}


def _ifcfg(nic: NicPlan, vm: VMPlan, net: NetPlan) -> Iterator[str]:
    yield from (f"DEVICE=eth{nic.index}", f"HWADDR={nic.mac.upper()}", "TYPE=Ethernet")
    yield from ("ONBOOT=yes", f"BOOTPROTO={'dhcp' if _has_dhcp(nic) else 'none'}")
    # Else the default route over another net may win.
    yield f"DEFROUTE={'yes' if nic is vm.management_nic else 'no'}"
    for address in map(ip_interface, list_addresses(nic, net)):
        if isinstance(address, IPv4Interface):
            yield from (f"IPADDR={address.ip}", f"PREFIX={address.network.prefixlen}")
        else:
            yield from ("IPV6INIT=yes", "IPV6_AUTOCONF=no", f"IPV6ADDR={address}")
    for route in list_routes(nic, vm, net):
        yield f"{'IPV6_DEFAULTGW' if ':' in route.to else 'GATEWAY'}={route.via}"
    servers, search = name_servers(nic, vm, net)
    yield from (f"DNS{number}={server}" for number, server in enumerate(servers, start=1))
    if search:
        yield f'DOMAIN="{search}"'
    if net.mtu != 1500:
        yield f"MTU={net.mtu}"


def _keyfile(nic: NicPlan, vm: VMPlan, net: NetPlan) -> Iterator[str]:
    name = f"lago-eth{nic.index}"
    yield from ("[connection]", f"id={name}", f"uuid={uuid5(_KEYFILES, nic.mac.lower())}")
    yield from ("type=ethernet", "autoconnect-priority=100", "", "[ethernet]")
    yield f"mac-address={nic.mac.upper()}"
    if net.mtu != 1500:
        yield f"mtu={net.mtu}"
    addresses = [ip_interface(address) for address in list_addresses(nic, net)]
    routes, (servers, search) = list_routes(nic, vm, net), name_servers(nic, vm, net)
    for family, kind in (("ipv4", IPv4Interface), ("ipv6", IPv6Interface)):
        is_6 = family == "ipv6"
        own = [address for address in addresses if isinstance(address, kind)]
        is_dhcp = not is_6 and _has_dhcp(nic)
        method = "auto" if is_dhcp else "manual" if own else "ignore" if is_6 else "disabled"
        yield from ("", f"[{family}]", f"method={method}")
        gateways = [route.via for route in routes if (":" in route.to) is is_6]
        for number, address in enumerate(own, start=1):
            yield f"address{number}={','.join([str(address), *gateways])}"
        named = [f"{server};" for server in servers if (":" in server) is is_6]
        if named:
            yield f"dns={''.join(named)}"
            yield from [f"dns-search={search};"] if search else []
        if is_dhcp and (metric := route_metric(nic, vm)) is not None:
            yield f"route-metric={metric}"


def _stanzas(nic: NicPlan, vm: VMPlan, net: NetPlan) -> Iterator[str]:
    name = f"eth{nic.index}"
    yield f"auto {name}"
    yield from [f"iface {name} inet dhcp"] if _has_dhcp(nic) else []
    yield from [f"iface {name} inet manual"] if nic.method is AddressMethod.NONE else []
    metric = route_metric(nic, vm)
    yield from [f"    metric {metric}"] if metric is not None else []
    routes, (servers, search) = list_routes(nic, vm, net), name_servers(nic, vm, net)
    for address in list_addresses(nic, net):
        is_6 = ":" in address
        yield from (f"iface {name} inet{'6' if is_6 else ''} static", f"    address {address}")
        yield from (f"    gateway {route.via}" for route in routes if (":" in route.to) is is_6)
        if any((":" in server) is is_6 for server in servers):
            yield f"    dns-nameservers {' '.join(servers)}"
            yield from [f"    dns-search {search}"] if search else []
    if net.mtu != 1500:
        yield f"    mtu {net.mtu}"
    yield ""


def _has_dhcp(nic: NicPlan) -> bool:
    return nic.method is AddressMethod.DHCP
