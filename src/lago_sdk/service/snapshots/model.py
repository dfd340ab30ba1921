"""What a snapshot is, and what the verbs report."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

import attrs

from lago_sdk.errors import SnapshotError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""It is a directory, a word of QEMU's monitor and an argument of ``qemu-img``."""


class SnapshotKind(enum.Enum):
    """How much of a VM a snapshot holds."""

    MEMORY = "memory"
    """Memory and disks: the guest goes on where it was."""
    DISK = "disk"
    """Disks only: a guest that ran boots from them."""


class Mechanism(enum.Enum):
    """How the state of a VM is kept."""

    INSIDE = "inside"
    """Memory and disks in the VM's own qcow2 disks; loaded into the running QEMU."""
    OUTSIDE = "outside"
    """Memory in a file, disks as for ``DISKS``; another QEMU begins from it."""
    DISKS = "disks"
    """qcow2 disks keep their content inside, others are copied."""


@attrs.frozen(kw_only=True)
class DiskState:
    """The kept content of one disk."""

    path: str
    """The image; relative to the prefix where it lies in it."""
    copy: str | None = None
    """Its copy, relative to the prefix; ``None`` where the image itself keeps the content."""


@attrs.frozen(kw_only=True)
class VMSnapshot:
    """One VM in a snapshot."""

    vm: str
    kind: SnapshotKind
    mechanism: Mechanism
    created: float
    """When, in seconds since the epoch."""
    parent: str | None = None
    """The snapshot that the VM was made at or reverted to last, before this one."""
    was_running: bool = False
    """Whether its processors ran; it runs again after a revert then, and is off (or, with its
    memory, paused) otherwise."""
    disks: tuple[DiskState, ...] = ()
    memory_bytes: int = 0
    """What its memory takes on disk."""
    copies_bytes: int = 0
    """What copies of disks take; what qcow2 disks keep inside grows with what is written later."""
    pause: float = 0.0
    """For how many seconds it, and all others of the cut, stood still."""

    @property
    def size(self) -> int:
        """Bytes on disk, as far as they are the snapshot's own."""
        return self.memory_bytes + self.copies_bytes


@attrs.frozen(kw_only=True)
class Snapshot:
    """A named point of some VMs."""

    name: str
    vms: Mapping[str, VMSnapshot]
    """By name of the VM; never empty."""

    @property
    def created(self) -> float:
        """When its last VM was added, in seconds since the epoch."""
        return max(vm.created for vm in self.vms.values())

    @property
    def parents(self) -> tuple[str, ...]:
        """The snapshots that its VMs descend from, each once; more than one where they differ."""
        return tuple(dict.fromkeys(vm.parent for vm in self.vms.values() if vm.parent is not None))

    @property
    def size(self) -> int:
        """Bytes on disk, as far as they are the snapshot's own."""
        return sum(vm.size for vm in self.vms.values())


@attrs.frozen(kw_only=True)
class SnapshotReport:
    """What `create_snapshots` did."""

    name: str
    vms: Mapping[str, VMSnapshot]
    """What was kept of each VM."""
    pause: float
    """For how many seconds the VMs that ran stood still; 0 where none ran."""
    seconds: float
    """From the call to its end."""


@attrs.frozen(kw_only=True)
class RevertReport:
    """What `revert_snapshots` did."""

    name: str
    reverted: tuple[str, ...]
    """VMs that are at the snapshot now; none where ``if_dirty`` found them clean."""
    in_place: tuple[str, ...] = ()
    """Those whose QEMU went on; the others have a new one, or are off."""
    loaded: float = 0.0
    """Seconds from the call until the last VM ran again."""
    seconds: float = 0.0
    """Seconds from the call until every guest had answered and had its clock set."""

    @property
    def changed(self) -> bool:
        """Whether anything was reverted."""
        return bool(self.reverted)


def check_name(name: str) -> None:
    """Return when *name* can be the name of a snapshot.

    Raises:
        SnapshotError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise SnapshotError(
            f"{name!r} cannot be the name of a snapshot",
            hint="letters, digits, '.', '_' and '-', the first a letter or digit, 64 at most",
        )


def make_tag(name: str) -> str:
    """Return what QEMU and qemu-img call the snapshot *name*; never a number, which is an id."""
    return f"lago-{name}"
