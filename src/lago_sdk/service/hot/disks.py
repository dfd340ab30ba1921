"""Disks that are plugged in and taken out while a VM runs, or between two runs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, VMError, suggest
from lago_sdk.plan.changes import add_disk, remove_disk, replace_vm
from lago_sdk.plan.disks import plan_disks
from lago_sdk.render.disks import find_next_dev, list_drives, render_drive
from lago_sdk.service.making.disks import create_disk
from lago_sdk.service.observing.status import observe
from lago_sdk.spec.disk import DiskBus, FileDisk, TemplateDisk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.plan.models import DiskPlan, Image, Plan, VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.spec.disk import DiskSpec

_MACHINE = "q35"
_SERIAL = 20
"""Characters that a virtio disk's serial number has (VIRTIO 1.2, 5.2: VIRTIO_BLK_T_GET_ID)."""


def attach_disk(vm: VMPlan, asked: DiskSpec, context: PrefixContext) -> Plan:
    """Make a disk and plug it into *vm*, at once where it runs; returns the plan with it.

    Raises:
        VMError: The disk cannot be made, or not be plugged in; nothing is left of it then.
    """
    is_active = observe(context.plan, context.world.host).is_active(vm.name)
    live = context.hypervisor.list_disk_devs(vm.domain) if is_active else ()
    disk = _plan_disk(vm, asked, live, context)
    if is_active:
        _check_hot(vm, disk)
    changed = add_disk(vm, disk)
    subject = f"{vm.name}/{disk.name}"
    with context.step("attach disk", subject):
        create_disk(changed, disk, layout=context.layout, world=context.world)
        if is_active:
            _plug_in(changed, disk, context)
    return replace_vm(context.plan, changed)


def detach_disk(vm: VMPlan, name: str, context: PrefixContext, *, timeout: float) -> Plan:
    """Take a disk out of *vm*; returns the plan without it. Its image is kept.

    Raises:
        VMError: There is no such disk, it is the first one, or the guest does not let go of it.
    """
    disk = get_disk(vm, name)
    subject = f"{vm.name}/{name}"
    with context.step("detach disk", subject):
        if observe(context.plan, context.world.host).is_active(vm.name):
            dev = _find_drive_dev(vm, disk, context)
            if not context.hypervisor.detach_disk(vm.domain, dev, timeout=timeout):
                message = f"the guest of {vm.name!r} did not let go of {name!r} "
                message += f"within {timeout:g} s"
                raise VMError(vm.name, message, hint="unmount it there first, or stop the VM")
    return replace_vm(context.plan, remove_disk(vm, disk))


def _check_hot(vm: VMPlan, disk: DiskPlan) -> None:
    """Return when *disk* is on a bus to which disks can be added while the guest runs."""
    has_scsi = any(other.bus is DiskBus.SCSI for other in vm.disks)
    if disk.bus is DiskBus.VIRTIO or (disk.bus is DiskBus.SCSI and has_scsi):
        return
    message = f"a {disk.bus.value} disk cannot be plugged into {vm.name!r} while it runs"
    raise VMError(vm.name, message, hint="leave out dev and bus, or stop the VM first")


def get_disk(vm: VMPlan, name: str) -> DiskPlan:
    """Return the further disk *name* of *vm*.

    Raises:
        VMError: There is none, or it is the first one.
    """
    names = [disk.name for disk in vm.disks]
    if name not in names:
        raise VMError(vm.name, f"{vm.name!r} has no disk {name!r}", hint=suggest(name, names))
    if name == names[0]:
        message = f"{name!r} is the first disk of {vm.name!r}, from which it starts"
        raise VMError(vm.name, message, hint="only further disks can be taken out")
    return vm.disks[names.index(name)]


def _plan_disk(
    vm: VMPlan, asked: DiskSpec, live: Sequence[str], context: PrefixContext
) -> DiskPlan:
    """Decide name, device and file of a further disk; those of the others stay.

    Args:
        vm: The VM.
        asked: The disk.
        live: What the disks that the guest sees now are called: the seed has a device too, and
            a disk that comes behind it is called so by most guests.
        context: The prefix.
    """
    settled = _settle(vm, asked)
    taken = {disk.dev for disk in vm.disks} | set(live)
    if settled.name and settled.name in {disk.name for disk in vm.disks}:
        raise VMError(vm.name, f"{vm.name!r} has a disk {settled.name!r} already")
    if settled.dev in taken:
        raise VMError(vm.name, f"{settled.dev!r} of {vm.name!r} is taken by another disk")
    if settled.dev is None and settled.bus in {None, DiskBus.VIRTIO}:
        settled = attrs.evolve(settled, dev=find_next_dev("vd", taken))
    known = tuple(
        attrs.evolve(disk.spec, name=disk.name, dev=disk.dev, bus=disk.bus) for disk in vm.disks
    )
    stems = {path.stem for path in context.layout.images.iterdir()}
    spec = attrs.evolve(vm.spec, disks=(*known, settled))
    disk = plan_disks(spec, _find_images(vm, settled, context), stems)[-1]
    named = attrs.evolve(disk.spec, name=disk.name, serial=asked.serial or disk.name[:_SERIAL])
    return attrs.evolve(disk, spec=named)


def _settle(vm: VMPlan, asked: DiskSpec) -> DiskSpec:
    """Return *asked* with its path absolute; relative ones start in the current directory."""
    if not isinstance(asked, (FileDisk, TemplateDisk)) or asked.path is None:
        return asked
    path = Path(asked.path).expanduser().absolute()
    if not path.is_file():
        raise VMError(vm.name, f"there is no image {str(path)!r} for {vm.name!r}")
    return attrs.evolve(asked, path=str(path))


def _find_images(vm: VMPlan, asked: DiskSpec, context: PrefixContext) -> dict[str, Image]:
    if not isinstance(asked, TemplateDisk):
        return {}
    try:
        if asked.template_name is not None:
            name, version = asked.template_name, asked.template_version
            image = context.world.templates.get(name, version)
            context.world.mark_used(image)
            return {f"{name}:{version}" if version else name: image}
        if asked.path is not None:
            return {asked.path: context.world.images.inspect(Path(asked.path))}
    except LagoError as error:
        raise VMError(vm.name, error.message, hint=error.hint) from error
    message = f"a template disk of {vm.name!r} needs the name of a template, or a path"
    raise VMError(vm.name, message)


def _plug_in(vm: VMPlan, disk: DiskPlan, context: PrefixContext) -> None:
    root = PurePosixPath(context.layout.path)
    machine = vm.spec.machine or _MACHINE
    # Drives come in the order of the disks; the new disk is the last of them.
    drive = list_drives(vm, root, machine)[len(vm.disks) - 1]
    try:
        context.hypervisor.attach_device(vm.domain, render_drive(drive))
    except LagoError as error:
        if disk.owned:
            (context.layout.path / disk.path).unlink(missing_ok=True)
        message = f"disk {disk.name!r} cannot be plugged into {vm.name!r}: {error.message}"
        raise VMError(vm.name, message, hint=error.hint) from error


def _find_drive_dev(vm: VMPlan, disk: DiskPlan, context: PrefixContext) -> str:
    """Return what libvirt calls the device of *disk*, which may be on another bus there."""
    root = PurePosixPath(context.layout.path)
    drives = list_drives(vm, root, vm.spec.machine or _MACHINE)
    return drives[vm.disks.index(disk)].dev
