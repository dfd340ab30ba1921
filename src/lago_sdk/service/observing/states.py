"""What a VM's state means: how it is told, and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMError, VMNotRunningError
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import DomainInfo
    from lago_sdk.service.observing.status import Observation

IO_ERROR = "input/output error"
"""libvirt's reason where a disk could not be written, mostly as the host's file system is full."""
_WATCHDOG = "watchdog"
_BY_USER = "by user"
_IN_PLACE = frozenset({VMState.RUNNING, VMState.BLOCKED})
_STANDING = frozenset({VMState.PAUSED, VMState.SUSPENDED})


def is_running(state: VMState) -> bool:
    """Whether the guest's programs run."""
    return state in _IN_PLACE


def is_standing(state: VMState) -> bool:
    """Whether QEMU is there and the guest stands still until it is resumed."""
    return state in _STANDING


def has_stopped_for_good(state: VMState, reason: str) -> bool:
    """Whether a VM is paused until somebody resumes it, and not for a snapshot's sake."""
    return state is VMState.PAUSED and reason in {_BY_USER, IO_ERROR, _WATCHDOG}


def is_odd(state: VMState) -> bool:
    """Whether a VM in *state* waits for somebody to look at it."""
    return state in {*_STANDING, VMState.CRASHED}


def describe_state(state: VMState, reason: str = "") -> str:
    """Return a state with its reason: ``paused (by user)``."""
    return f"{state.value} ({reason})" if reason else state.value


def find_remedy(vm: str, state: VMState, reason: str = "") -> str | None:
    """Return what to do about a VM that ought to run; ``None`` for one that does."""
    match state:
        case VMState.RUNNING | VMState.BLOCKED:
            return None
        case VMState.PAUSED if reason == IO_ERROR:
            where = "free some space where its disks are (df), then resume it"
            return f"{where}: lagoctl resume {vm}"
        case VMState.PAUSED if reason == _WATCHDOG:
            return f"its watchdog went off: lagoctl resume {vm}, or lagoctl reboot --force {vm}"
        case VMState.PAUSED:
            return f"resume it: lagoctl resume {vm}"
        case VMState.SUSPENDED:
            return f"wake it: lagoctl resume {vm}"
        case VMState.SHUTTING_DOWN:
            return f"wait, or power it off at once: lagoctl stop {vm}"
        case VMState.CRASHED:
            return f"look at its console log, and start it again: lagoctl start {vm}"
        case VMState.UNKNOWN:
            return "lagoctl doctor tells what is wrong with the host"
        case _:
            return f"start it: lagoctl start {vm}"


def not_running(vm: str, state: VMState, reason: str = "") -> VMNotRunningError:
    """Return the error for a VM that is in *state* where it ought to run."""
    message = f"{vm!r} is not running: it is {describe_state(state, reason)}"
    return VMNotRunningError(vm, message, hint=find_remedy(vm, state, reason))


def check_runs(vm: str, info: DomainInfo | None) -> None:
    """Return when the guest's programs run.

    Raises:
        VMNotRunningError: They do not: the VM is off, or paused; the message tells its state.
    """
    state = VMState.DOWN if info is None else info.state
    if not is_running(state):
        raise not_running(vm, state, "" if info is None else info.reason)


def left_alone(vm: VMPlan) -> VMError:
    """Return the error for a machine that is told to do what only VMs of this host can."""
    message = f"{vm.name!r} is left alone: somebody else runs it (vm-provider: {vm.provider})"
    return VMError(vm.name, message, hint=f"log in to it: lagoctl shell {vm.name}")


def list_active(vms: Iterable[VMPlan], seen: Observation, *, are_named: bool) -> tuple[VMPlan, ...]:
    """Return those of *vms* that a verb for running VMs is about.

    Args:
        vms: The VMs that the user spoke of.
        seen: What they look like now.
        are_named: Whether the user named them; where not, those that are off are left out.

    Raises:
        VMError: A VM that is named is somebody else's.
        VMNotRunningError: A VM that is named is off.
    """
    found = []
    for vm in vms:
        if not vm.is_remote and seen.is_active(vm.name):
            found.append(vm)
        elif are_named and vm.is_remote:
            raise left_alone(vm)
        elif are_named:
            raise not_running(vm.name, seen.state(vm.name), seen.reason(vm.name))
    return tuple(found)
