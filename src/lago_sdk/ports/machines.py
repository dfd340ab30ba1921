"""What runs machines elsewhere than on the prefix's host: ``vm-provider`` of the init file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.state import VMState

if TYPE_CHECKING:
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.spec.vm import VMSpec


@attrs.frozen(kw_only=True)
class Machine:
    """What a provider sees of a machine now."""

    state: VMState
    """``UNKNOWN`` where it cannot tell; never what it only hopes."""
    reason: str = ""
    """Why, in a few words; may be empty."""


class VMProvider(Protocol):
    """Machines that are not libvirt domains of the prefix: they are logged in to by ssh.

    They have no console, guest agent, snapshots, or disks and nics of ours. Methods may be
    called from several threads, for several machines at once; errors of theirs are `LagoError`,
    with a sentence and a hint.
    """

    @property
    def name(self) -> str:
        """How the key ``vm-provider`` calls it."""

    @property
    def has_power(self) -> bool:
        """Whether it can power machines on and off.

        Where it cannot, `start`, `stop` and `shutdown` are never called: a start only waits for
        ssh, and to stop such a machine by name is an error.
        """

    def find_address(self, vm: VMSpec) -> tuple[str, int] | None:
        """Return the address (or host name) and the port where its ssh server is, or ``None``.

        Asked once, when the prefix is made, and kept in its plan; the keys ``ssh-host`` and
        ``ssh-port`` of the init file win.
        """

    def find_state(self, vm: VMPlan) -> Machine:
        """Look at it now; returns within seconds."""

    def start(self, vm: VMPlan) -> bool:
        """Power it on; returns whether it was off. Ssh is waited for afterwards."""

    def stop(self, vm: VMPlan) -> bool:
        """Power it off at once; returns whether it was on."""

    def shutdown(self, vm: VMPlan, *, timeout: float) -> bool:
        """Ask it to power off and wait until it has; returns whether it was on.

        Args:
            vm: The machine.
            timeout: Seconds it may take.

        Raises:
            VMError: It did not in time.
        """
