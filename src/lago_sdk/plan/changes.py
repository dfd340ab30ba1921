"""Plans that differ in one thing from another; spec and plan of a VM stay in step."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from lago_sdk.plan.models import DiskPlan, NetPlan, NicPlan, Plan, VMPlan

T = TypeVar("T")


def replace_vm(plan: Plan, changed: VMPlan) -> Plan:
    """Return *plan* with *changed* in place of the VM of its name."""
    vms = tuple(changed if vm.name == changed.name else vm for vm in plan.vms)
    return attrs.evolve(plan, vms=vms)


def replace_net(plan: Plan, changed: NetPlan) -> Plan:
    """Return *plan* with *changed* in place of the net of its name."""
    nets = tuple(changed if net.name == changed.name else net for net in plan.nets)
    return attrs.evolve(plan, nets=nets)


def add_disk(vm: VMPlan, disk: DiskPlan) -> VMPlan:
    """Return *vm* with a further disk."""
    spec = attrs.evolve(vm.spec, disks=(*vm.spec.disks, disk.spec))
    return attrs.evolve(vm, spec=spec, disks=(*vm.disks, disk))


def remove_disk(vm: VMPlan, disk: DiskPlan) -> VMPlan:
    """Return *vm* without one of its disks."""
    at = vm.disks.index(disk)
    spec = attrs.evolve(vm.spec, disks=_without(vm.spec.disks, at))
    return attrs.evolve(vm, spec=spec, disks=_without(vm.disks, at))


def add_nic(vm: VMPlan, nic: NicPlan) -> VMPlan:
    """Return *vm* with a further nic."""
    spec = attrs.evolve(vm.spec, nics=(*vm.spec.nics, nic.spec))
    return attrs.evolve(vm, spec=spec, nics=(*vm.nics, nic))


def remove_nic(vm: VMPlan, nic: NicPlan) -> VMPlan:
    """Return *vm* without one of its nics; the others keep their indexes."""
    at = vm.nics.index(nic)
    spec = attrs.evolve(vm.spec, nics=_without(vm.spec.nics, at))
    return attrs.evolve(vm, spec=spec, nics=_without(vm.nics, at))


def _without(items: tuple[T, ...], at: int) -> tuple[T, ...]:
    return items[:at] + items[at + 1 :]
