"""States of domains that can be kept and gone back to: memory, and what was done since.

There are two ways to keep a memory. *Inside*: in the domain's own qcow2 disks, beside a snapshot
of their content (``savevm`` of QEMU's monitor); it is loaded into the process that runs. *Outside*:
in a file, by libvirt's ``save``; the process ends with it, and a new one begins from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from pathlib import Path


class StateMissingError(Exception):
    """The disks of a domain do not hold a state of that name; nothing was changed.

    It says so to the services, which know what it means, and does not leave them.
    """


@attrs.frozen(kw_only=True)
class Activity:
    """What a running domain has done since its process began."""

    run: int
    """libvirt's number of the process: another one has begun where it differs."""
    resident: int = 0
    """Bytes of memory of the host that the process takes; 0 when libvirt does not tell."""
    blocks: Mapping[str, int]
    """Write requests by device, read-only ones included."""
    received: Mapping[str, tuple[int, int]]
    """Bytes and packets that came in, by network interface."""


class States(Protocol):
    """Kept states of the hypervisor's domains. All names are those of domains."""

    def get_machine(self, name: str) -> str:
        """Return the XML of a running domain: all that another process needs to be the same one.

        Raises:
            HypervisorError: It is off.
        """

    def create_paused(self, xml: str) -> None:
        """Define a domain (or redefine the one of that name) and start it paused."""

    def save_inside(self, name: str, tag: str) -> None:
        """Keep memory and disks of a running domain in its disks; it is paused meanwhile.

        Raises:
            HypervisorError: A writable disk is not qcow2, or there is no space.
        """

    def load_inside(self, name: str, tag: str) -> None:
        """Go back to a state that `save_inside` kept; a domain that is paused stays so.

        Raises:
            StateMissingError: There is none of that name; nothing was changed.
            HypervisorError: The state is not one of this machine; the domain is lost.
        """

    def delete_inside(self, name: str, tag: str) -> None:
        """Remove what `save_inside` or `mark_disks` kept under *tag*; idempotent."""

    def mark_disks(self, name: str, tag: str) -> None:
        """Keep the content of the qcow2 disks of a running domain, all at one moment."""

    def save_outside(self, name: str, path: Path) -> None:
        """Write the memory of a running domain to *path*, and end it.

        Raises:
            HypervisorError: It cannot be written; the domain is as before.
        """

    def save_beside(self, name: str, path: Path) -> None:
        """Write the memory of a paused domain to *path*; it stays as it is.

        Raises:
            HypervisorError: It cannot be written; the domain is as before.
        """

    def restore_outside(self, path: Path, xml: str) -> None:
        """Begin a domain from the memory in *path*, paused.

        Args:
            path: What `save_outside` wrote.
            xml: The domain's XML, as `get_machine` returned it; paths may differ.
        """

    def wait_idle(self, name: str, *, timeout: float) -> None:
        """Wait until libvirt has ended what somebody else asked it to do to a domain.

        Raises:
            HypervisorError: It has not within *timeout* seconds.
        """

    def read_activity(self, prefix_uuid: str) -> Mapping[str, Activity]:
        """What the running domains of a prefix have done, by name; one bulk call."""
