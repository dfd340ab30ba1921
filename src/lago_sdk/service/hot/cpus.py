"""Virtual CPUs that come and go while a VM runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, VMError
from lago_sdk.plan.changes import replace_vm
from lago_sdk.service.observing.running import check_running, get_hypervisor
from lago_sdk.service.observing.status import observe

if TYPE_CHECKING:
    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.service.context import PrefixContext


def set_vcpus(vm: VMPlan, count: int, context: PrefixContext) -> Plan:
    """Give *vm* so many virtual CPUs, at once where it runs; returns the plan with them.

    Raises:
        VMError: It has no places for them, or the guest does not let go of one.
    """
    places = vm.spec.max_vcpu or vm.spec.vcpu
    if not 1 <= count <= places:
        hint = f"1 to {places}; max-vcpu of the init file says how many it can have"
        raise VMError(vm.name, f"{vm.name!r} cannot have {count} virtual CPUs", hint=hint)
    with context.step("set virtual CPUs", vm.name) as running:
        running.tell(str(count))
        if observe(context.plan, context.world.host).is_active(vm.name):
            hypervisor = get_hypervisor(vm, context, need="its processors")
            check_running(vm, hypervisor)
            try:
                hypervisor.set_vcpus(vm.domain, count)
            except LagoError as error:
                message = f"{vm.name!r} cannot have {count} virtual CPUs now: {error.message}"
                hint = "a guest must be up to take one, and let go of one by itself"
                raise VMError(vm.name, message, hint=error.hint or hint) from error
    changed = attrs.evolve(vm, spec=attrs.evolve(vm.spec, vcpu=count, max_vcpu=places))
    return replace_vm(context.plan, changed)
