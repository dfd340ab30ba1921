"""The content of disks that nothing uses: kept, put back, forgotten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import ImageError, SnapshotError
from lago_sdk.service.snapshots.model import DiskState, make_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.ports import ImageTool
    from lago_sdk.render.machine import MachineDisk
    from lago_sdk.service.snapshots.model import VMSnapshot
    from lago_sdk.service.snapshots.store import SnapshotStore

QCOW2 = "qcow2"


def plan_disks(
    disks: Iterable[MachineDisk], name: str, vm: str, store: SnapshotStore
) -> tuple[DiskState, ...]:
    """Return where the content of each disk will be kept; those that are no files are left out."""
    return tuple(
        DiskState(
            path=store.relative(Path(disk.path)),
            copy=None if disk.format == QCOW2 else store.relative(store.copy(name, vm, index)),
        )
        for index, disk in enumerate(disks)
        if disk.path is not None
    )


def mark_disks(vm: VMSnapshot, name: str, store: SnapshotStore, images: ImageTool) -> None:
    """Keep the content of the qcow2 disks of a VM that is off."""
    for disk in vm.disks:
        if disk.copy is None:
            images.create_snapshot(store.absolute(disk.path), make_tag(name))


def copy_disks(vm: VMSnapshot, store: SnapshotStore, images: ImageTool) -> None:
    """Keep the content of the other disks of a VM that is off or paused."""
    for disk in vm.disks:
        if disk.copy is not None:
            images.copy(store.absolute(disk.path), store.absolute(disk.copy))


def put_back(vm: VMSnapshot, name: str, store: SnapshotStore, images: ImageTool) -> None:
    """Give the disks of a VM that is off the content that was kept."""
    for disk in vm.disks:
        path = store.absolute(disk.path)
        if disk.copy is None:
            images.apply_snapshot(path, make_tag(name))
        else:
            unfinished = path.with_name(f".{path.name}.part")
            try:
                images.copy(store.absolute(disk.copy), unfinished)
                os.replace(unfinished, path)  # noqa: PTH105 - one system call, made plain
            finally:
                unfinished.unlink(missing_ok=True)


def forget_disks(vm: VMSnapshot, name: str, store: SnapshotStore, images: ImageTool) -> None:
    """Remove what the qcow2 disks of a VM that is off keep; disks that are gone keep nothing."""
    for disk in vm.disks:
        path = store.absolute(disk.path)
        if disk.copy is None and path.exists():
            images.delete_snapshot(path, make_tag(name))


def check_kept(vm: VMSnapshot, name: str, store: SnapshotStore, images: ImageTool) -> None:
    """Return when all that is needed to bring *vm* back is there.

    Raises:
        SnapshotError: Something is gone; says what.
    """
    for disk in vm.disks:
        path = store.absolute(disk.path)
        try:
            is_kept = (
                make_tag(name) in images.list_snapshots(path)
                if disk.copy is None
                else store.absolute(disk.copy).exists()
            )
        except ImageError as error:
            raise SnapshotError(
                f"{vm.vm!r} cannot go back to {name!r}: its disk {path} cannot be read",
                hint=error.message,
            ) from error
        if not is_kept:
            raise lost(vm.vm, name, f"its disk {path}")


def lost(vm: str, name: str, what: str) -> SnapshotError:
    """Return the error for something that somebody else has removed."""
    return SnapshotError(
        f"{vm!r} cannot go back to {name!r}: {what} does not hold it any more",
        hint=f"somebody has removed it; forget the snapshot: lagoctl snapshot --delete {name}",
    )
