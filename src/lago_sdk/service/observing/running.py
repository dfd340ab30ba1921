"""What every use of a running VM begins with: the hypervisor, and that it does run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMError
from lago_sdk.service.marks import note_use
from lago_sdk.service.observing.states import check_runs, not_running
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Hypervisor
    from lago_sdk.service.context import PrefixContext


def get_hypervisor(
    vm: VMPlan, context: PrefixContext, *, need: str, is_use: bool = True
) -> Hypervisor:
    """Return the hypervisor that runs *vm*.

    Args:
        vm: The VM.
        context: Its prefix.
        need: What is wanted of it, for messages: ``"its console"``.
        is_use: Whether it may change the guest; where it only looks, a clean VM stays clean.

    Raises:
        VMError: Somebody else runs it.
        VMNotRunningError: Its host is down.
        HostError: The host's libvirtd does not answer.
    """
    if vm.is_remote:
        message = f"{need} cannot be reached: {vm.name!r} is not on this host"
        raise VMError(vm.name, f"{message} (vm-provider: {vm.provider})", hint="use ssh")
    if context.world.host.is_ended():
        raise not_running(vm.name, VMState.DOWN)
    if is_use:
        note_use(context.layout, vm.name)
    return context.hypervisor


def check_running(vm: VMPlan, hypervisor: Hypervisor) -> None:
    """Return when *vm* runs.

    Raises:
        VMNotRunningError: It does not; the message tells its state.
    """
    check_runs(vm.name, hypervisor.find_domain(vm.domain))


def check_active(vm: VMPlan, hypervisor: Hypervisor) -> None:
    """Return when *vm* is there; it may be paused.

    Raises:
        VMNotRunningError: It is off; the message tells its state.
    """
    info = hypervisor.find_domain(vm.domain)
    if info is None or not info.state.is_active:
        state = VMState.DOWN if info is None else info.state
        raise not_running(vm.name, state, "" if info is None else info.reason)
