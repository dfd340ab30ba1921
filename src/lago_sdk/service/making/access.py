"""Telling at creation that QEMU will not be able to open a disk, which else is found at start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.events import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.plan.models import Plan
    from lago_sdk.ports import Barrier
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World


def warn_unreachable(plan: Plan, *, layout: PrefixLayout, world: World) -> None:
    """Warn of directories and backing files that the host's QEMU cannot reach.

    libvirt hands the disks themselves to QEMU's user, so only what leads to them is looked at,
    and what is below them.
    """
    told: set[Path] = set()
    for path in dict.fromkeys(_list_needed(plan, layout)):
        barrier = world.find_barrier(path)
        if barrier is not None and barrier.path not in told:
            told.add(barrier.path)
            world.observe(Note(message=_describe(path, barrier, layout, world), warning=True))


def _list_needed(plan: Plan, layout: PrefixLayout) -> Iterator[Path]:
    """Yield directories that must be entered and files that must be read."""
    for vm in plan.vms:
        for disk in () if vm.is_remote else vm.disks:
            yield (layout.path / disk.path).parent
            if disk.backing is not None:
                yield Path(disk.backing.path)


def _describe(path: Path, barrier: Barrier, layout: PrefixLayout, world: World) -> str:
    store = world.config.template_store
    if path.is_relative_to(store):
        remedy = "set template_store to a directory open to all, such as /var/lib/lago/store"
    elif path.is_relative_to(layout.path):
        remedy = "put the workdir into a directory open to all"
    else:
        remedy = "put the image into a directory open to all"
    bit = "x" if barrier.path.is_dir() else "r"
    return (
        f"QEMU runs as {barrier.user} here and cannot reach {path}, because of the permissions "
        f"of {barrier.path}: {remedy}, or: setfacl -m u:{barrier.user}:{bit} {barrier.path}"
    )
