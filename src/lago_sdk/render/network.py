"""Network XML for libvirt (https://libvirt.org/formatnetwork.html)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.render.elements import add, write
from lago_sdk.render.tags import Tag, add_tag
from lago_sdk.spec.net import NetType

if TYPE_CHECKING:
    from lago_sdk.plan.models import NetPlan

STANDARD_MTU = 1500
"""What every device has without being told, in bytes."""

_NAT_PORTS = {"start": "1024", "end": "65535"}


def render_network(net: NetPlan, *, prefix_uuid: str) -> str:
    """Return the XML of the libvirt network of *net*.

    Args:
        net: The net, decided.
        prefix_uuid: The prefix's uuid, 32 hex digits; the network carries it as metadata and
            has a uuid made from it, so that defining it again replaces it.
    """
    root = ET.Element("network")
    add(root, "name", text=net.network)
    add(root, "uuid", text=str(uuid.uuid5(uuid.UUID(prefix_uuid), f"network {net.name}")))
    add_tag(root, Tag(prefix_uuid=prefix_uuid, name=net.name))
    if net.spec.type is NetType.BRIDGE and net.spec.bridge is not None:
        add(root, "forward", {"mode": "bridge"})
        add(root, "bridge", {"name": net.spec.bridge})
        return write(root)
    _add_forward(root, net)
    # With STP on, Linux keeps a new port silent for 2 x 2 s whatever the delay says.
    add(root, "bridge", {"name": net.bridge, "stp": "off", "delay": "0"})
    if net.mtu != STANDARD_MTU:
        add(root, "mtu", {"size": str(net.mtu)})
    add(root, "mac", {"address": net.bridge_mac})
    _add_dns(root, net)
    _add_ip4(root, net)
    _add_ip6(root, net)
    return write(root)


def _add_forward(root: ET.Element, net: NetPlan) -> None:
    """Say how packets leave; libvirt refuses to forward for a net on which it has no address."""
    if net.gateway is None and net.gateway6 is None:
        return
    if net.spec.type is NetType.NAT:
        forward = add(root, "forward", {"mode": "nat"})
        add(add(forward, "nat"), "port", _NAT_PORTS)
    elif net.spec.type is NetType.ROUTED:
        add(root, "forward", {"mode": "route"})


def _add_dns(root: ET.Element, net: NetPlan) -> None:
    """Answer for the names of the prefix on management nets; elsewhere no DNS server runs."""
    if net.dns_domain is not None:
        add(root, "domain", {"name": net.dns_domain, "localOnly": "yes"})
    if not net.is_management:
        add(root, "dns", {"enable": "no"})
        return
    dns = add(root, "dns", {"forwardPlainNames": "no"})
    for record in net.dns_records:
        host = add(dns, "host", {"ip": str(record.ip)})
        for name in record.names:
            add(host, "hostname", text=name)


def _add_ip4(root: ET.Element, net: NetPlan) -> None:
    if net.subnet is None or net.gateway is None:
        return
    prefix = str(net.subnet.prefixlen)
    ip = add(root, "ip", {"family": "ipv4", "address": str(net.gateway), "prefix": prefix})
    hosts = [host for host in net.dhcp_hosts if host.ip is not None]
    if net.dhcp_range is None and not hosts:
        return
    dhcp = add(ip, "dhcp")
    if net.dhcp_range is not None:
        start, end = net.dhcp_range
        add(dhcp, "range", {"start": str(start), "end": str(end)})
    for host in hosts:
        add(dhcp, "host", {"mac": host.mac, "name": host.name, "ip": str(host.ip)})


def _add_ip6(root: ET.Element, net: NetPlan) -> None:
    """Hand out IPv6 addresses by DUID-LL (RFC 8415, 11.4: type 3, hardware type 1, the MAC)."""
    if net.subnet6 is None or net.gateway6 is None:
        return
    prefix = str(net.subnet6.prefixlen)
    ip = add(root, "ip", {"family": "ipv6", "address": str(net.gateway6), "prefix": prefix})
    hosts = [host for host in net.dhcp_hosts if host.ip6 is not None]
    if not hosts:
        return
    dhcp = add(ip, "dhcp")
    for host in hosts:
        duid = f"0:3:0:1:{host.mac}"
        add(dhcp, "host", {"id": duid, "name": host.name, "ip": str(host.ip6)})
