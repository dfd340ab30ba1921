"""Taking files out of one guest: over ssh where it runs, from its disk where it is off."""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.errors import CommandTimeoutError, ImageError, LagoError, SSHError, VMError
from lago_sdk.ports.offline import OfflineVisit
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lago_sdk.plan.models import DiskPlan, VMPlan
    from lago_sdk.ports import Extraction
    from lago_sdk.ports.offline import OfflineFS
    from lago_sdk.service.context import PrefixContext

_ROOT_PARTITION = "root-partition"
"""Fact about a disk or its template: where the guest's root file system is."""


class ExtractRoad(enum.Enum):
    """How files come out of a guest."""

    SSH = "ssh"
    """From the running guest."""
    DISK = "disk"
    """From the disk of a VM that is off."""


def is_off(state: VMState) -> bool:
    """Whether nothing uses the disks of a VM in *state*."""
    return state in {VMState.DOWN, VMState.SHUT_OFF, VMState.CRASHED}


def extract(
    vm: VMPlan,
    paths: Sequence[tuple[str, Path]],
    context: PrefixContext,
    *,
    state: VMState,
    timeout: float | None,
    may_boot: bool = True,
) -> tuple[ExtractRoad, Extraction]:
    """Copy files and directories out of the guest of *vm*.

    Args:
        vm: Whose.
        paths: What to copy, and the names it gets here.
        context: Its prefix.
        state: What the VM is in; while it is off nobody else may start it.
        timeout: Seconds that a running guest may take.
        may_boot: Whether an appliance may be booted for its disk.

    Raises:
        ApplianceNeededError: No appliance may be booted, and it takes one.
        VMError: The guest does not answer, or the VM neither runs nor is off.
        LagoError: The disk cannot be read, or the copies cannot be written.
    """
    if is_off(state):
        return ExtractRoad.DISK, _extract_from_disk(vm, paths, context, may_boot=may_boot)
    if state not in {VMState.RUNNING, VMState.BLOCKED}:
        raise VMError(
            vm.name,
            f"nothing can be copied from {vm.name!r} while it is {state.value}",
            hint=f"let it run (lagoctl resume {vm.name}), or stop it: then its disk can be read",
        )
    try:
        return ExtractRoad.SSH, context.guests.get(vm).extract(paths, timeout=timeout)
    except (SSHError, CommandTimeoutError) as error:
        raise VMError(
            vm.name,
            f"{vm.name!r} runs, but its files cannot be had over ssh: {error.message}",
            hint=f"the disk of a running VM is never read: lagoctl stop {vm.name}, and try again",
        ) from error


def extract_by_appliance(
    wanted: Sequence[tuple[VMPlan, Sequence[tuple[str, Path]]]], context: PrefixContext
) -> dict[str, Extraction | LagoError]:
    """Copy files and directories from the disks of VMs that are off, by one appliance for all.

    Args:
        wanted: The VMs and, of each, what to copy and the names it gets here.
        context: Their prefix.

    Returns:
        What came, or why nothing did, by the VM's name.
    """
    done: dict[str, Extraction | LagoError] = {}

    def take(name: str, paths: Sequence[tuple[str, Path]], fs: OfflineFS) -> None:
        done[name] = fs.extract(paths)

    reads: dict[str, OfflineVisit] = {}
    for vm, paths in wanted:
        disk, image = _find_root_disk(vm, context)
        reads[vm.name] = OfflineVisit(
            path=image,
            image_format=disk.format,
            root_partition=find_root_partition(disk),
            apply=partial(take, vm.name, paths),
        )
    try:
        errors = context.world.disks.read_all(tuple(reads.values()))
    except LagoError as error:
        return {name: done.get(name, error) for name in reads}
    return {name: errors.get(read.path) or done[name] for name, read in reads.items()}


def _extract_from_disk(
    vm: VMPlan, paths: Sequence[tuple[str, Path]], context: PrefixContext, *, may_boot: bool
) -> Extraction:
    disk, image = _find_root_disk(vm, context)
    opened = context.world.disks.open(
        image,
        disk.format,
        read_only=True,
        root_partition=find_root_partition(disk),
        may_boot=may_boot,
    )
    with opened as fs:
        return fs.extract(paths)


def _find_root_disk(vm: VMPlan, context: PrefixContext) -> tuple[DiskPlan, Path]:
    """Return the disk that the root file system of *vm* is on, and its image.

    Raises:
        LagoError: It has no disk, or none yet.
    """
    disk = _get_root_disk(vm)
    image = context.layout.path / disk.path
    if not image.is_file():
        raise ImageError(f"{vm.name!r} has no disk yet: there is no file {str(image)!r}")
    return disk, image


def find_root_partition(disk: DiskPlan) -> str | None:
    """Return where the spec or the template says that the root file system is, or ``None``."""
    template = {} if disk.backing is None else disk.backing.metadata
    found = disk.spec.metadata.get(_ROOT_PARTITION) or template.get(_ROOT_PARTITION)
    return str(found) if found else None


def _get_root_disk(vm: VMPlan) -> DiskPlan:
    for disk in vm.disks:
        if disk.format is not DiskFormat.ISO:
            return disk
    raise VMError(vm.name, f"{vm.name!r} is off and has no disk to read")
