"""Room on disk for forks, told before the first one is begun."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.service.forks.clone import list_copies
from lago_sdk.service.forks.state import choose_all, list_disks
from lago_sdk.service.snapshots.space import (
    check_space,
    estimate_memory,
    find_resident,
    get_allocated,
)
from lago_sdk.service.snapshots.store import SnapshotStore
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk.render.machine import MachineDisk
    from lago_sdk.service.context import PrefixContext

_FORK_BYTES = 4 << 20
"""What the records, logs and new overlays of a fork take."""


def check_fork_space(context: PrefixContext, count: int, snapshot: str | None) -> None:
    """Return when there is room for *count* forks beside the prefix.

    Args:
        context: The prefix that is forked; locked.
        count: How many forks.
        snapshot: The snapshot that they go on from; ``None`` for what the prefix is now.

    Raises:
        SnapshotError: There may not be; or a VM cannot be kept with its memory.
    """
    size = estimate_state(context) if snapshot is None else 0
    if snapshot is not None:
        size = count * _estimate_copies(context, snapshot)
    what = "the fork" if count == 1 else f"the {count} forks"
    check_space([(context.layout.path.parent, size + count * _FORK_BYTES)], what)


def estimate_state(context: PrefixContext) -> int:
    """Return the bytes that memories and layers take; all forks of a moment share them."""
    choices = choose_all(context)
    resident = find_resident(context, choices)
    memories = sum(
        estimate_memory(choice.vm, resident[choice.vm.name])
        for choice in choices
        if choice.machine is not None
    )
    disks = [disk for choice in choices for disk in list_disks(choice, context)]
    return memories + sum(_measure(disk, context) for disk in disks)


def _measure(disk: MachineDisk, context: PrefixContext) -> int:
    """Return what a layer of a disk takes at most, without memories that the disk keeps."""
    if disk.path is None:
        return 0
    path = Path(disk.path)
    is_qcow2 = disk.format == DiskFormat.QCOW2.value
    memories = context.world.images.list_snapshots(path) if is_qcow2 else {}
    return max(get_allocated(path) - sum(memories.values()), 0)


def _estimate_copies(context: PrefixContext, name: str) -> int:
    """Return what the disks take, of which a fork of a snapshot has a copy each."""
    snapshot = SnapshotStore(context.layout, context.world.files).get(name)
    disks = list_copies(context, snapshot)
    return sum(get_allocated(context.layout.path / disk) for disk in disks)
