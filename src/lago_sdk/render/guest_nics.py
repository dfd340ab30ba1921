"""What a guest is told of its nics, whatever the format that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.plan.models import AddressMethod

if TYPE_CHECKING:
    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan

MAIN_METRIC = 100
"""Metric of the default route over the management net; other nets come after it."""


@attrs.frozen
class Route:
    """A default route."""

    to: str
    via: str


def list_addresses(nic: NicPlan, net: NetPlan) -> tuple[str, ...]:
    """Return the addresses to write out, with their prefix lengths.

    An IPv6 address is always written out: DHCPv6 knows guests by a DUID that they make up.
    """
    if nic.method is AddressMethod.NONE:
        return ()
    addresses = []
    if nic.ip and net.subnet and nic.method is AddressMethod.STATIC:
        addresses.append(f"{nic.ip}/{net.subnet.prefixlen}")
    if nic.ip6 and net.subnet6:
        addresses.append(f"{nic.ip6}/{net.subnet6.prefixlen}")
    return tuple(addresses)


def is_static_main(nic: NicPlan, vm: VMPlan) -> bool:
    """Whether a nic leads out of the lab, and nobody tells the guest how by DHCP."""
    return nic.method is AddressMethod.STATIC and nic is vm.management_nic


def list_routes(nic: NicPlan, vm: VMPlan, net: NetPlan) -> tuple[Route, ...]:
    """Return the default routes to write out for a nic."""
    if not is_static_main(nic, vm):
        return ()
    routes = []
    if nic.ip and net.gateway:
        routes.append(Route("0.0.0.0/0", str(net.gateway)))
    if nic.ip6 and net.gateway6:
        routes.append(Route("::/0", str(net.gateway6)))
    return tuple(routes)


def name_servers(nic: NicPlan, vm: VMPlan, net: NetPlan) -> tuple[tuple[str, ...], str | None]:
    """Return the name servers to write out for a nic, and the domain to search."""
    server = net.gateway or net.gateway6
    if not is_static_main(nic, vm) or not server:
        return (), None
    return (str(server),), net.dns_domain


def route_metric(nic: NicPlan, vm: VMPlan) -> int | None:
    """Return the metric of the routes that DHCP tells; ``None`` where there is no choice."""
    if nic.method is not AddressMethod.DHCP or len(vm.nics) < 2:
        return None
    return MAIN_METRIC if nic is vm.management_nic else 2 * MAIN_METRIC + nic.index


def full_name(vm: VMPlan) -> str:
    """Return the host name with its domain, where it has one."""
    return f"{vm.hostname}.{vm.dns_domain}" if vm.dns_domain else vm.hostname


def initiator_name(vm: VMPlan) -> str:
    """Return the content of ``/etc/iscsi/initiatorname.iscsi``."""
    return f"InitiatorName={vm.iscsi_name}\n"
