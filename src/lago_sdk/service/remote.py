"""Machines that somebody else runs (``vm-provider: ssh``): we can only see whether ssh answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.ports import DomainInfo
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.reach import find_address
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Host

_PORT = 22
_SECONDS = 2.0
"""For a machine that is there to accept a connection."""
_LOOKS_AT_ONCE = 32


def observe_remote(vms: Iterable[VMPlan], host: Host) -> dict[str, DomainInfo]:
    """Return the state of the remote ones among *vms*, by name.

    A machine that does not answer may be off or unreachable, so its state is unknown.
    """

    def look(vm: VMPlan) -> DomainInfo:
        reason = _find_obstacle(vm, host)
        state = VMState.RUNNING if reason is None else VMState.UNKNOWN
        return DomainInfo(name="", uuid="", state=state, reason=reason or "it answers ssh")

    remote = [vm for vm in vms if vm.is_remote]
    found = run_parallel(look, remote, limit=_LOOKS_AT_ONCE, message="several VMs were not seen")
    return {vm.name: info for vm, info in zip(remote, found, strict=True)}


def _find_obstacle(vm: VMPlan, host: Host) -> str | None:
    """Return why *vm* does not answer, or ``None`` when it does."""
    address = find_address(vm)
    if address is None:
        return "it has no address"
    try:
        with host.dial(address, _PORT, timeout=_SECONDS):
            return None
    except (OSError, LagoError):
        return f"no answer at {address}"
