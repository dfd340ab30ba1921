"""Memory that a guest gets, or gives back, while it runs."""

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

_POLL = 0.1


def set_memory(vm: VMPlan, size: int, context: PrefixContext, *, timeout: float) -> Plan:
    """Give *vm* so much memory, at once where it runs; returns the plan with it.

    Args:
        vm: Whose.
        size: MiB.
        context: Its prefix.
        timeout: Seconds that the guest may take to give memory back, or to take it.

    Raises:
        VMError: It cannot have so much, or its guest does not follow; all is as before then.
    """
    most = vm.spec.max_memory or vm.spec.memory
    if not 1 <= size <= most:
        hint = f"1 to {most}; max-memory of the init file says how much it can have"
        raise VMError(vm.name, f"{vm.name!r} cannot have {size} MiB of memory", hint=hint)
    with context.step("set memory", vm.name) as running:
        running.tell(f"{size} MiB")
        if observe(context.plan, context.world.host).is_active(vm.name):
            _fill_balloon(vm, size, context, timeout)
    changed = attrs.evolve(vm, spec=attrs.evolve(vm.spec, memory=size, max_memory=most))
    return replace_vm(context.plan, changed)


def _fill_balloon(vm: VMPlan, size: int, context: PrefixContext, timeout: float) -> None:
    """Have the balloon of a VM that runs leave *size* MiB to its guest."""
    hypervisor = get_hypervisor(vm, context, need="its memory")
    check_running(vm, hypervisor)
    before = hypervisor.get_memory(vm.domain)
    try:
        hypervisor.set_memory(vm.domain, size)
    except LagoError as error:
        message = f"{vm.name!r} cannot have {size} MiB of memory now: {error.message}"
        raise VMError(vm.name, message, hint=error.hint) from error
    clock = context.world.clock
    deadline = clock.monotonic() + timeout
    while (now := hypervisor.get_memory(vm.domain)) != size:
        if clock.monotonic() >= deadline:
            hypervisor.set_memory(vm.domain, before)
            raise VMError(
                vm.name,
                f"the guest of {vm.name!r} has {now} MiB of memory after {timeout:g} s, "
                f"not {size}; it keeps {before}",
                hint="it needs the driver virtio_balloon, and memory that nobody uses",
            )
        clock.sleep(_POLL)
