"""libvirt's numbers for states, as ours.

The numbers are libvirt's ABI (``virDomainState`` and the ``virDomain*Reason`` enums of
``libvirt-domain.h``): they are only ever added to.
"""

from __future__ import annotations

from lago_sdk.state import VMState

_STATES = (
    VMState.UNKNOWN,
    VMState.RUNNING,
    VMState.BLOCKED,
    VMState.PAUSED,
    VMState.SHUTTING_DOWN,
    VMState.SHUT_OFF,
    VMState.CRASHED,
    VMState.SUSPENDED,
)
"""By ``virDomainState``."""

_REASONS = {
    VMState.RUNNING: (
        "booted",
        "migrated",
        "restored",
        "from snapshot",
        "unpaused",
        "migration canceled",
        "save canceled",
        "woken up",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    VMState.PAUSED: (
        "by user",
        "migrating",
        "saving",
        "dumping",
        "input/output error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "taking a snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
    ),
    VMState.SHUTTING_DOWN: ("by user",),
    VMState.SHUT_OFF: (
        "shut down",
        "destroyed",
        "crashed",
        "migrated",
        "saved",
        "failed to start",
        "from snapshot",
        "stopped by libvirtd",
    ),
    VMState.CRASHED: ("panicked",),
}
"""Words for the reasons of each state, from number 1; number 0 is always "unknown"."""


def vm_state(number: int) -> VMState:
    """Return the state that libvirt calls *number*; one it has invented since is unknown."""
    return _STATES[number] if 0 <= number < len(_STATES) else VMState.UNKNOWN


def state_reason(state: VMState, number: int) -> str:
    """Return why a domain is in *state*, in a word or two; empty when libvirt does not say."""
    reasons = _REASONS.get(state, ())
    return reasons[number - 1] if 1 <= number <= len(reasons) else ""
