"""What a prefix looks like now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError
from lago_sdk.ports import DomainInfo
from lago_sdk.service.checkpoints.model import CheckpointUse
from lago_sdk.service.guests.reach import find_address
from lago_sdk.service.observing.remote import observe_remote
from lago_sdk.service.observing.states import find_remedy, is_odd
from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import NetPlan, NicPlan, Plan, VMPlan
    from lago_sdk.ports import Host
    from lago_sdk.service.snapshots.model import Snapshot
    from lago_sdk.service.world import World


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
    """Name of its libvirt domain; one that somebody else runs has none by that name."""
    state: VMState
    reason: str = ""
    """libvirt's reason of the state, or why it is unknown; may be empty."""
    hint: str = ""
    """What can be done about a VM that came to a stand by itself or by others; may be empty."""
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
    problem: str = ""
    """Why nothing is known of its VMs and nets; empty where libvirtd answers."""
    hint: str = ""
    """What to do about the problem."""
    checkpoint: CheckpointUse | None = None
    """What it has to do with the cache of checkpoints; ``None`` where that is nothing."""
    nets: tuple[NetStatus, ...] = ()
    vms: tuple[VMStatus, ...] = ()


@attrs.frozen(kw_only=True)
class Observation:
    """What libvirt says of a prefix at one moment."""

    domains: Mapping[str, DomainInfo]
    """By name of the VM; a VM without a domain is absent."""
    nets: Mapping[str, NetState]
    """By name of the net; every net of the plan."""

    def state(self, vm: str) -> VMState:
        """Return the state of the VM *vm*."""
        info = self.domains.get(vm)
        return VMState.DOWN if info is None else info.state

    def reason(self, vm: str) -> str:
        """Return why the VM *vm* is in its state; empty where nobody tells."""
        info = self.domains.get(vm)
        return "" if info is None else info.reason

    def is_active(self, vm: str) -> bool:
        """Whether a QEMU process exists for the VM *vm*."""
        return self.state(vm).is_active


def observe(plan: Plan, host: Host) -> Observation:
    """Ask libvirt about all VMs and nets of *plan*: two calls, however many there are.

    Raises:
        HostError: libvirtd does not answer.
    """
    if host.is_ended():
        return Observation(domains={}, nets={net.name: NetState.DOWN for net in plan.nets})
    hypervisor = host.hypervisor()
    known = {info.name: info for info in hypervisor.list_domains(plan.uuid)}
    networks = hypervisor.list_networks(plan.uuid)
    return Observation(
        domains={vm.name: known[vm.domain] for vm in plan.vms if vm.domain in known},
        nets={net.name: networks.get(net.network, NetState.DOWN) for net in plan.nets},
    )


def prefix_status(
    plan: Plan,
    *,
    path: str,
    name: str,
    world: World,
    host_name: str,
    is_complete: bool,
    snapshots: Iterable[Snapshot] = (),
    checkpoint: CheckpointUse | None = None,
) -> PrefixStatus:
    """Return the status of a prefix; states are ``unknown`` where libvirtd does not answer."""
    kept = tuple(snapshots)
    problem = hint = ""
    try:
        seen = observe(plan, world.host)
    except LagoError as error:
        problem, hint = error.message, error.hint or ""
        seen = _see_nothing(plan, why=problem)
    infos = {**seen.domains, **observe_remote(plan.vms, world)}
    return PrefixStatus(
        path=path,
        uuid=plan.uuid,
        name=name,
        host=host_name,
        is_complete=is_complete,
        problem=problem,
        hint=hint,
        checkpoint=checkpoint,
        nets=tuple(_net_status(net, seen.nets[net.name]) for net in plan.nets),
        vms=tuple(
            attrs.evolve(
                _vm_status(vm, infos.get(vm.name)),
                snapshots=tuple(snapshot.name for snapshot in kept if vm.name in snapshot.vms),
            )
            for vm in plan.vms
        ),
    )


def _see_nothing(plan: Plan, *, why: str) -> Observation:
    unknown = DomainInfo(name="", uuid="", state=VMState.UNKNOWN, reason=why)
    return Observation(
        domains=dict.fromkeys((vm.name for vm in plan.vms), unknown),
        nets={net.name: NetState.UNKNOWN for net in plan.nets},
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


def _vm_status(vm: VMPlan, info: DomainInfo | None) -> VMStatus:
    state = VMState.DOWN if info is None else info.state
    reason = "" if info is None else info.reason
    return VMStatus(
        name=vm.name,
        domain=vm.domain,
        state=state,
        reason=reason,
        hint=(find_remedy(vm.name, state, reason) or "") if is_odd(state) else "",
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
