"""What a prefix looks like now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError
from lago_sdk.service.reach import find_address
from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    from lago_sdk.plan.models import NetPlan, NicPlan, Plan, VMPlan
    from lago_sdk.ports import DomainInfo, Host


@attrs.frozen(kw_only=True)
class NicStatus:
    """One network interface."""

    name: str
    """``eth0``, ``eth1``, … in the order of the init file."""
    net: str
    mac: str
    ip: str | None = None
    ip6: str | None = None


@attrs.frozen(kw_only=True)
class VMStatus:
    """One VM."""

    name: str
    domain: str
    """Name of its libvirt domain."""
    state: VMState
    reason: str = ""
    """libvirt's reason of the state; may be empty."""
    ip: str | None = None
    """Its address on the management net."""
    nics: tuple[NicStatus, ...] = ()
    distro: str | None = None
    snapshots: tuple[str, ...] = ()
    metadata: Mapping[str, object] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class NetStatus:
    """One net."""

    name: str
    network: str
    """Name of its libvirt network."""
    state: NetState
    management: bool
    gateway: str | None = None
    subnet: str | None = None
    subnet6: str | None = None


@attrs.frozen(kw_only=True)
class PrefixStatus:
    """A whole prefix."""

    path: str
    uuid: str
    name: str
    host: str
    """``private``, or the URI of the libvirtd."""
    is_complete: bool = True
    """Whether its creation came to an end; ``start`` finishes one that was cut off."""
    nets: tuple[NetStatus, ...] = ()
    vms: tuple[VMStatus, ...] = ()


def observe_domains(plan: Plan, host: Host) -> dict[str, DomainInfo]:
    """Return what libvirt knows of each VM, by the VM's name; one bulk call."""
    if not host.is_up():
        return {}
    known = {info.name: info for info in host.hypervisor().list_domains(plan.uuid)}
    return {vm.name: known[vm.domain] for vm in plan.vms if vm.domain in known}


def observe_states(plan: Plan, host: Host) -> tuple[dict[str, VMState], dict[str, NetState]]:
    """Return the state of every VM and every net of *plan*, by name.

    Raises:
        HostError: libvirtd does not answer.
    """
    domains = observe_domains(plan, host)
    vms = {
        vm.name: domains[vm.name].state if vm.name in domains else VMState.DOWN for vm in plan.vms
    }
    networks = host.hypervisor().list_networks(plan.uuid) if host.is_up() else {}
    nets = {net.name: networks.get(net.network, NetState.DOWN) for net in plan.nets}
    return vms, nets


def prefix_status(
    plan: Plan, *, path: str, name: str, host: Host, host_name: str, is_complete: bool
) -> PrefixStatus:
    """Return the status of a prefix; states are ``unknown`` where libvirtd does not answer."""
    try:
        domains = observe_domains(plan, host)
        _, nets = observe_states(plan, host)
        absent = VMState.DOWN
    except LagoError:
        domains = {}
        nets = {net.name: NetState.UNKNOWN for net in plan.nets}
        absent = VMState.UNKNOWN
    return PrefixStatus(
        path=path,
        uuid=plan.uuid,
        name=name,
        host=host_name,
        is_complete=is_complete,
        nets=tuple(_net_status(net, nets[net.name]) for net in plan.nets),
        vms=tuple(_vm_status(vm, domains.get(vm.name), absent) for vm in plan.vms),
    )


def _net_status(net: NetPlan, state: NetState) -> NetStatus:
    return NetStatus(
        name=net.name,
        network=net.network,
        state=state,
        management=net.is_management,
        gateway=_text(net.gateway),
        subnet=_text(net.subnet),
        subnet6=_text(net.subnet6),
    )


def _vm_status(vm: VMPlan, info: DomainInfo | None, absent: VMState) -> VMStatus:
    return VMStatus(
        name=vm.name,
        domain=vm.domain,
        state=info.state if info else absent,
        reason=info.reason if info else "",
        ip=find_address(vm),
        nics=tuple(_nic_status(nic) for nic in vm.nics),
        distro=vm.distro,
        metadata=dict(vm.spec.metadata),
    )


def _nic_status(nic: NicPlan) -> NicStatus:
    return NicStatus(
        name=f"eth{nic.index}",
        net=nic.net,
        mac=nic.mac,
        ip=_text(nic.ip),
        ip6=_text(nic.ip6),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
