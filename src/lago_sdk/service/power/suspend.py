"""Suspending VMs and letting them run on: their memory stays, their processors stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMError
from lago_sdk.events import stage
from lago_sdk.service.observing.states import (
    IO_ERROR,
    describe_state,
    find_remedy,
    is_running,
    is_standing,
    list_active,
)
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.select import select_vms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_AT_ONCE = 8
_LOOKS = 5
_PAUSE = 0.1
"""Seconds between looks at a VM that may fail again as soon as it runs."""


def suspend_vms(context: PrefixContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """Pause the VMs called *names*, those that run for ``None``; returns those that ran.

    Raises:
        VMNotRunningError: A VM that is named is off.
        HostError: The host's libvirtd does not answer.
        HypervisorError: A VM cannot be paused; the others are.
        ExceptionGroup: Several cannot.
    """
    world = context.world
    seen = observe(context.plan, world.host)
    vms = list_active(select_vms(context.plan, names), seen, are_named=names is not None)
    running = tuple(vm for vm in vms if is_running(seen.state(vm.name)))

    def suspend(vm: VMPlan) -> None:
        with stage(world.observe, "suspend", vm.name), context.journal.step("suspend", vm.name):
            context.hypervisor.suspend_domain(vm.domain)

    message = "several VMs were not suspended"
    run_parallel(suspend, running, limit=_AT_ONCE, message=message, keep_going=True)
    return tuple(vm.name for vm in running)


def resume_vms(context: PrefixContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """Let the VMs called *names* run on, all that stand still for ``None``; returns those.

    Guests that have gone to sleep by themselves are woken.

    Raises:
        VMNotRunningError: A VM that is named is off.
        VMError: A VM whose disk could not be written met the same error again.
        HostError: The host's libvirtd does not answer.
        HypervisorError: A VM cannot be resumed; the others are.
        ExceptionGroup: Several cannot.
    """
    world = context.world
    seen = observe(context.plan, world.host)
    vms = list_active(select_vms(context.plan, names), seen, are_named=names is not None)
    standing = tuple(vm for vm in vms if is_standing(seen.state(vm.name)))

    def resume(vm: VMPlan) -> None:
        with stage(world.observe, "resume", vm.name), context.journal.step("resume", vm.name):
            context.hypervisor.resume_domain(vm.domain)
            if seen.reason(vm.name) == IO_ERROR:
                _check_stays(vm, context)

    message = "several VMs were not resumed"
    run_parallel(resume, standing, limit=_AT_ONCE, message=message, keep_going=True)
    return tuple(vm.name for vm in standing)


def _check_stays(vm: VMPlan, context: PrefixContext) -> None:
    """Return when *vm* is not paused again by what paused it before."""
    for _look in range(_LOOKS):
        context.world.clock.sleep(_PAUSE)
        info = context.hypervisor.find_domain(vm.domain)
        if info is not None and is_standing(info.state):
            raise VMError(
                vm.name,
                f"{vm.name!r} was paused again at once: {describe_state(info.state, info.reason)}",
                hint=find_remedy(vm.name, info.state, info.reason),
            )
