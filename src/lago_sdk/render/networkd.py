"""Network configuration of guests with systemd-networkd: systemd.network(5), systemd.link(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.plan.models import AddressMethod
from lago_sdk.render.guest_nics import list_addresses, list_routes, name_servers, route_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan

DIRECTORY = "/etc/systemd/network"


def render_networkd(vm: VMPlan, nets: Mapping[str, NetPlan]) -> dict[str, str]:
    """Return the files that configure the nics of *vm* by their MACs, by path.

    They come before those that an image has of its own, whose names begin with a later number.
    """
    return {
        f"{DIRECTORY}/10-lago-eth{nic.index}.network": "\n".join(_network(nic, vm, nets)) + "\n"
        for nic in vm.nics
    }


def render_links(vm: VMPlan) -> dict[str, str]:
    """Return the files by which udev names the nics of *vm* as the plan does, by path."""
    return {
        f"{DIRECTORY}/10-lago-eth{nic.index}.link": (
            f"[Match]\nMACAddress={nic.mac.lower()}\n\n[Link]\nName=eth{nic.index}\n"
        )
        for nic in vm.nics
    }


def _network(nic: NicPlan, vm: VMPlan, nets: Mapping[str, NetPlan]) -> Iterator[str]:
    net = nets[nic.net]
    yield from ("[Match]", f"MACAddress={nic.mac.lower()}", "")
    link = [f"MTUBytes={net.mtu}"] if net.mtu != 1500 else []
    if nic is not vm.management_nic:
        # Else the boot waits for each of them.
        link.append("RequiredForOnline=no")
    if link:
        yield from ("[Link]", *link, "")
    yield from ("[Network]", f"DHCP={'ipv4' if nic.method is AddressMethod.DHCP else 'no'}")
    yield from (f"Address={address}" for address in list_addresses(nic, net))
    servers, search = name_servers(nic, vm, net)
    yield from (f"DNS={server}" for server in servers)
    if search:
        yield f"Domains={search}"
    yield from (f"Gateway={route.via}" for route in list_routes(nic, vm, net))
    metric = route_metric(nic, vm)
    if metric is not None:
        yield from ("", "[DHCPv4]", f"RouteMetric={metric}")
