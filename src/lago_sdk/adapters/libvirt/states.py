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


_ENDED_BADLY = 3
"""``VIR_DOMAIN_SHUTOFF_CRASHED``: QEMU has gone without a word, or was ended by a guest's panic."""


def describe_state(number: int, reason: int) -> tuple[VMState, str]:
    """Return the state that libvirt calls *number*, and why, in a word or two.

    A state that libvirt has invented since is unknown; a reason that it does not tell is empty.
    """
    state = _STATES[number] if 0 <= number < len(_STATES) else VMState.UNKNOWN
    if state is VMState.SHUT_OFF and reason == _ENDED_BADLY:
        return VMState.CRASHED, "its guest panicked, or QEMU was killed"
    reasons = _REASONS.get(state, ())
    return state, reasons[reason - 1] if 1 <= reason <= len(reasons) else ""
