"""What every use of a running VM begins with: the hypervisor, and that it does run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMError
from lago_sdk.service.marks import note_use
from lago_sdk.service.states import check_runs, not_running
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Hypervisor
    from lago_sdk.service.context import PrefixContext


def get_hypervisor(vm: VMPlan, context: PrefixContext, *, need: str) -> Hypervisor:
    """Return the hypervisor that runs *vm*.

    Args:
        vm: The VM.
        context: Its prefix.
        need: What is wanted of it, for messages: ``"its console"``.

    Raises:
        VMError: Somebody else runs it.
        VMNotRunningError: Its host is down.
        HostError: The host's libvirtd does not answer.
    """
    if vm.is_remote:
        message = f"{need} cannot be reached: {vm.name!r} is somebody else's (vm-provider: ssh)"
        raise VMError(vm.name, message, hint="use ssh")
    if context.world.host.is_ended():
        raise not_running(vm.name, VMState.DOWN)
    note_use(context.layout, vm.name)
    return context.hypervisor


def check_running(vm: VMPlan, hypervisor: Hypervisor) -> None:
    """Return when *vm* runs.

    Raises:
        VMNotRunningError: It does not; the message tells its state.
    """
    check_runs(vm.name, hypervisor.find_domain(vm.domain))
