"""Forks of a snapshot: copies of what holds it, which then go back to it.

A snapshot lies inside of disks that the first prefix goes on to write to, so each fork gets the
disks whole (by reflink where the file system can); layers below them are shared.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import SnapshotError
from lago_sdk.events import stage
from lago_sdk.render.fork import fork_machine
from lago_sdk.render.machine import clean_machine
from lago_sdk.service.forks.create import copy_files, finish_forks
from lago_sdk.service.forks.layers import Freezer, link
from lago_sdk.service.forks.state import standing_still
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.provisioning.ssh_config import try_write_ssh_config
from lago_sdk.service.snapshots.model import make_tag
from lago_sdk.service.snapshots.revert import revert_snapshots
from lago_sdk.service.snapshots.store import SnapshotStore
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.forks.create import Seedling
    from lago_sdk.service.snapshots.model import Snapshot

_AT_ONCE = 8
_MACHINE = ".xml"


def check_clonable(context: PrefixContext, name: str) -> None:
    """Return when forks can be made of the snapshot *name*.

    Raises:
        SnapshotNotFoundError: There is none.
        SnapshotError: It lacks a VM, or a disk is not the prefix's own.
    """
    snapshot = SnapshotStore(context.layout, context.world.files).get(name)
    vms = {vm.name for vm in context.plan.vms if not vm.is_remote}
    if vms != snapshot.vms.keys():
        differing = ", ".join(sorted(vms ^ snapshot.vms.keys()))
        raise SnapshotError(
            f"{name!r} cannot be forked: it is not one of all VMs, but differs by {differing}",
            hint="make a snapshot of all: lagoctl snapshot NAME",
        )
    outside = [path for path in list_copies(context, snapshot) if os.path.isabs(path)]  # noqa: PTH117
    if outside:
        raise SnapshotError(
            f"{name!r} cannot be forked: the disk {outside[0]!r} is not in the prefix",
            hint=f"go back to it, and fork then: lagoctl revert {name}",
        )


def clone_prefix(context: PrefixContext, seedlings: Sequence[Seedling], name: str) -> None:
    """Make a fork of each of *seedlings* that goes on from the snapshot *name*.

    Args:
        context: The prefix that is forked; locked, and checked by `check_clonable`.
        seedlings: The forks; locked. One that fails is to be removed by the caller.
        name: The snapshot.

    Raises:
        SnapshotError: Something of the snapshot is gone.
        HostError: A host cannot be brought up.
        ExceptionGroup: Several forks failed.
    """
    snapshot = SnapshotStore(context.layout, context.world.files).get(name)
    seen = observe(context.plan, context.world.host)
    going = {VMState.RUNNING, VMState.BLOCKED}
    with standing_still(context, [vm for vm in context.plan.vms if seen.state(vm.name) in going]):
        run_parallel(
            lambda seedling: _copy(context, seedling, snapshot),
            seedlings,
            limit=_AT_ONCE,
            message="several forks could not be made",
            keep_going=True,
        )
    run_parallel(
        lambda seedling: _grow(context, seedling, name),
        seedlings,
        limit=_AT_ONCE,
        message="several forks could not be started",
        keep_going=True,
    )
    finish_forks(context, seedlings)


def list_copies(context: PrefixContext, snapshot: Snapshot) -> dict[str, bool]:
    """Return all disks that are written to, then and now, and whether they are qcow2 images."""
    kept = {disk.path: disk.copy is None for vm in snapshot.vms.values() for disk in vm.disks}
    now = {
        disk.path: disk.format is DiskFormat.QCOW2
        for vm in context.plan.vms
        for disk in vm.disks
        if disk.format is not DiskFormat.ISO
    }
    return {**now, **kept}


def _copy(context: PrefixContext, seedling: Seedling, snapshot: Snapshot) -> None:
    """Copy what changes, and link what does not."""
    source, target, images = context.layout, seedling.layout, context.world.images
    copy_files(context, target)
    freezer = Freezer(source, target, images)
    for name, is_qcow2 in list_copies(context, snapshot).items():
        path, place = source.path / name, target.path / name
        images.copy(path, place)
        if not is_qcow2:
            continue  # nor looked into: a guest writes there what it likes
        found = images.inspect(path)
        below = freezer.share_below(found)
        # What lies on a layer knows it by its place beside it.
        is_beside = found.backing is None or Path(found.backing).parent == source.layers
        if below is not None and below.path != found.backing and not is_beside:
            images.rebase(place, below)
    directory = SnapshotStore(target, context.world.files).directory(snapshot.name)
    directory.mkdir(parents=True, exist_ok=True)
    for path in SnapshotStore(source, context.world.files).directory(snapshot.name).iterdir():
        if path.suffix == _MACHINE:
            xml = fork_machine(
                path.read_text(), prefix_uuid=seedling.uuid, root=str(target.path), disks={}
            )
            context.world.files.write_atomic(directory / path.name, clean_machine(xml))
        else:
            link(path, directory / path.name, images)


def _grow(parent: PrefixContext, seedling: Seedling, name: str) -> None:
    """Make the plan of one fork, and have it go back to the snapshot."""
    images = parent.world.images
    seedling.save_plan(attrs.evolve(parent.plan, uuid=seedling.uuid))
    context = seedling.make_context()
    for vm in context.plan.vms:
        for disk in vm.disks:
            if disk.backing is not None:
                context.world.mark_used(disk.backing)
    store = SnapshotStore(context.layout, context.world.files)
    for kept in store.get(name).vms.values():
        for item in kept.disks:
            path = store.absolute(item.path)
            if item.copy is None:
                for tag in images.list_snapshots(path).keys() - {make_tag(name)}:
                    images.delete_snapshot(path, tag)  # the fork has no record of it
    try_write_ssh_config(context.plan, layout=context.layout, world=context.world)
    with stage(context.world.observe, "start fork", seedling.layout.path.name):
        revert_snapshots(context, name, None)
