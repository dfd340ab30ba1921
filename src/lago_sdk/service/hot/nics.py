"""Network cards that are plugged in and taken out while a VM runs, and their cables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, VMError, suggest
from lago_sdk.plan.changes import add_nic, remove_nic, replace_net, replace_vm
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.render.devices import render_nic
from lago_sdk.service.observing.running import check_running, get_hypervisor
from lago_sdk.service.observing.status import observe
from lago_sdk.service.power.nets import create_nets
from lago_sdk.spec.net import SubnetChoice
from lago_sdk.spec.prefix import PrefixSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lago_sdk.plan.models import NetPlan, NicPlan, Plan, VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.spec.net import NetSpec
    from lago_sdk.spec.nic import NicSpec


def attach_nic(vm: VMPlan, asked: NicSpec, context: PrefixContext) -> Plan:
    """Plug a further card into *vm*, at once where it runs; returns the plan with it.

    Raises:
        NetNotFoundError: There is no such net.
        SpecError: The address or MAC cannot be had.
        VMError: The card cannot be plugged in.
    """
    net = context.plan.get_net(asked.net)
    plan = _plan_nic(vm, asked, net, context.plan)
    changed = plan.get_vm(vm.name)
    nic = changed.nics[-1]
    with context.step("attach nic", f"{vm.name}/eth{nic.index}") as running:
        running.tell(f"{nic.mac} on {net.name}")
        seen = observe(context.plan, context.world.host)
        is_net_up = seen.nets[net.name].is_active
        if is_net_up:
            _reserve(plan.get_net(net.name), nic, context)
        if seen.is_active(vm.name):
            _plug_in(changed, nic, plan.get_net(net.name), context, is_net_up=is_net_up)
    return plan


def detach_nic(vm: VMPlan, index: int, context: PrefixContext, *, timeout: float) -> Plan:
    """Take a card out of *vm*; returns the plan without it and its addresses.

    Raises:
        VMError: There is no such card, ssh goes over it, or the guest does not let go of it.
    """
    nic = get_nic(vm, index)
    if nic == vm.management_nic:
        message = f"eth{index} of {vm.name!r} is on its management net: ssh goes over it"
        raise VMError(vm.name, message, hint="pull its cable instead: set_link, lagoctl link")
    net = context.plan.get_net(nic.net)
    with context.step("detach nic", f"{vm.name}/eth{index}"):
        seen = observe(context.plan, context.world.host)
        if seen.is_active(vm.name) and not context.hypervisor.detach_nic(
            vm.domain, nic.mac, timeout=timeout
        ):
            message = f"the guest of {vm.name!r} did not let go of eth{index} "
            raise VMError(vm.name, f"{message}within {timeout:g} s", hint="stop the VM first")
        if seen.nets[net.name].is_active:
            for mac, name, address in _list_reservations(net, nic):
                context.hypervisor.release_address(net.network, mac=mac, name=name, address=address)
    left = replace_vm(context.plan, remove_nic(vm, nic))
    return replace_net(left, _without_nic(net, nic))


def set_link(vm: VMPlan, index: int, context: PrefixContext, *, is_up: bool) -> None:
    """Plug the cable into a card of *vm*, or pull it, until the VM's next start.

    Raises:
        VMError: There is no such card.
        VMNotRunningError: The VM is not running.
    """
    nic = get_nic(vm, index)
    hypervisor = get_hypervisor(vm, context, need="its link")
    check_running(vm, hypervisor)
    hypervisor.set_link(vm.domain, nic.mac, is_up=is_up)


def has_link(vm: VMPlan, index: int, context: PrefixContext) -> bool:
    """Whether the cable is in a card of *vm*; raises as `set_link`."""
    nic = get_nic(vm, index)
    hypervisor = get_hypervisor(vm, context, need="its link")
    check_running(vm, hypervisor)
    return bool(hypervisor.find_link(vm.domain, nic.mac))


def get_nic(vm: VMPlan, index: int) -> NicPlan:
    """Return the card ``eth<index>`` of *vm*.

    Raises:
        VMError: There is none.
    """
    for nic in vm.nics:
        if nic.index == index:
            return nic
    names = [f"eth{nic.index}" for nic in vm.nics]
    raise VMError(vm.name, f"{vm.name!r} has no nic eth{index}", hint=suggest(f"eth{index}", names))


def _plan_nic(vm: VMPlan, asked: NicSpec, net: NetPlan, plan: Plan) -> Plan:
    """Return *plan* with a further card: everything that is decided is asked for as it is."""
    index = max((nic.index for nic in vm.nics), default=-1) + 1
    wanted = PrefixSpec(
        vms=tuple(
            attrs.evolve(
                other.spec,
                nics=(*map(_pin_nic, other.nics), *((asked,) if other.name == vm.name else ())),
            )
            for other in plan.vms
        ),
        nets=tuple(_pin_net(other) for other in plan.nets),
    )
    found = plan_prefix(wanted, uuid=plan.uuid)
    made = attrs.evolve(found.get_vm(vm.name).nics[-1], spec=asked, index=index)
    changed = _with_nic(net, made, found.get_net(net.name))
    return replace_net(replace_vm(plan, add_nic(vm, made)), changed)


def _pin_nic(nic: NicPlan) -> NicSpec:
    return attrs.evolve(
        nic.spec,
        mac=nic.mac,
        ip=None if nic.ip is None else str(nic.ip),
        ip6=None if nic.ip6 is None else str(nic.ip6),
    )


def _pin_net(net: NetPlan) -> NetSpec:
    return attrs.evolve(
        net.spec,
        subnet=net.subnet or SubnetChoice.NONE,
        subnet6=net.subnet6 or SubnetChoice.NONE,
        gw=None if net.gateway is None else str(net.gateway),
        management=net.is_management,
    )


def _with_nic(net: NetPlan, nic: NicPlan, found: NetPlan) -> NetPlan:
    """Return *net* with what *found*, a plan of it with *nic*, knows of that card."""
    hosts = tuple(host for host in found.dhcp_hosts if host.mac == nic.mac)
    records = tuple(record for record in found.dns_records if record.ip in {nic.ip, nic.ip6})
    return attrs.evolve(
        net,
        dhcp_hosts=(*net.dhcp_hosts, *hosts),
        dns_records=(*net.dns_records, *records),
        mapping={**found.mapping, **net.mapping},
    )


def _without_nic(net: NetPlan, nic: NicPlan) -> NetPlan:
    """Return *net* without what it knows of *nic*."""
    addresses = {str(address) for address in (nic.ip, nic.ip6) if address is not None}
    return attrs.evolve(
        net,
        dhcp_hosts=tuple(host for host in net.dhcp_hosts if host.mac != nic.mac),
        dns_records=tuple(record for record in net.dns_records if str(record.ip) not in addresses),
        mapping={
            name: address for name, address in net.mapping.items() if address not in addresses
        },
    )


def _list_reservations(net: NetPlan, nic: NicPlan) -> Iterator[tuple[str, str, str]]:
    """Yield MAC, name and IPv4 address of what the net's DHCP server keeps for *nic*."""
    for host in net.dhcp_hosts:
        if host.mac == nic.mac and host.ip is not None:
            yield host.mac, host.name, str(host.ip)


def _reserve(net: NetPlan, nic: NicPlan, context: PrefixContext) -> None:
    """Tell the net's DHCP server which address the card is planned to have."""
    for mac, name, address in _list_reservations(net, nic):
        context.hypervisor.reserve_address(net.network, mac=mac, name=name, address=address)


def _plug_in(
    vm: VMPlan, nic: NicPlan, net: NetPlan, context: PrefixContext, *, is_net_up: bool
) -> None:
    undo: list[Callable[[], None]] = []
    try:
        if not is_net_up:
            create_nets([net], context, undo)
        context.hypervisor.attach_device(vm.domain, render_nic(nic, net))
    except LagoError as error:
        for step in reversed(undo):
            step()
        message = f"a nic on {net.name!r} cannot be plugged into {vm.name!r}: {error.message}"
        raise VMError(vm.name, message, hint=error.hint) from error
