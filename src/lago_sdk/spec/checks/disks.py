"""Disks: names and devices that do not collide, kinds with what they need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lago_sdk.spec.disk import (
    DiskBus,
    DiskFormat,
    EmptyDisk,
    FileDisk,
    TemplateDisk,
    TemplateType,
)
from lago_sdk.spec.vm import LOCAL

if TYPE_CHECKING:
    from lago_sdk.spec.disk import DiskSpec
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink
    from lago_sdk.spec.vm import VMSpec

MAX_SIZE = 2**63 - 1
"""QEMU counts bytes in a signed 64-bit number."""
TINY_SIZE = 1024**2
"""Below this somebody forgot the unit."""

_DEV = re.compile(r"(vd|sd|hd)[a-z]{1,2}\Z")
_BUSES = {
    "vd": frozenset({DiskBus.VIRTIO}),
    "sd": frozenset({DiskBus.SCSI, DiskBus.SATA}),
    "hd": frozenset({DiskBus.IDE}),
}
_MAX_NAME = 100
BUILDERS = ("virt-customize",)


def check_disks(vm: VMSpec, sink: Sink) -> None:
    """Check the disks of one VM."""
    devices: dict[str, int] = {}
    names: dict[str, int] = {}
    for index, disk in enumerate(vm.disks):
        path = ("domains", vm.name, "disks", index)
        _check_name(disk, index, path, names, sink)
        _check_dev(disk, index, path, devices, sink)
        _check_kind(disk, path, sink)
        _check_build(disk, path, sink)
    is_local = vm.vm_provider in LOCAL
    if not vm.disks and vm.ova is None and vm.kernel is None and is_local:
        sink.warn(
            ("domains", vm.name, "disks"),
            f"the VM {vm.name!r} has no disks, so it has nothing to boot from",
            hint="add 'disks: [{type: template, template_name: NAME}]'",
            code="no-disks",
        )


def _check_name(disk: DiskSpec, index: int, path: Path, names: dict[str, int], sink: Sink) -> None:
    name = disk.name
    if not name:
        return
    if name in names:
        message = f"disk {names[name]} of the VM is called {name!r} as well"
        sink.error((*path, "name"), message, hint="rename one", code="duplicate-disk-name")
    names.setdefault(name, index)
    if len(name) > _MAX_NAME or "/" in name or not name.isprintable():
        sink.error(
            (*path, "name"),
            f"{name!r} cannot be a disk's name: it becomes part of a file name",
            hint="letters, digits, '-', '_' and '.'",
            code="bad-disk-name",
        )


def _check_dev(disk: DiskSpec, index: int, path: Path, devices: dict[str, int], sink: Sink) -> None:
    dev = disk.dev
    if dev is None:
        return
    place = (*path, "dev")
    if not _DEV.match(dev):
        hint = "vda (virtio), sda (virtio-scsi) or hda (IDE), and so on"
        sink.error(place, f"{dev!r} is not a device name", hint=hint, code="bad-dev")
        return
    if dev in devices:
        message = f"disk {devices[dev]} of the VM is {dev!r} as well"
        hint = "change one, or leave the key out to get the next free one"
        sink.error(place, message, hint=hint, code="duplicate-dev")
    devices.setdefault(dev, index)
    if disk.bus is not None and disk.bus not in _BUSES[dev[:2]]:
        sink.warn(
            (*path, "bus"),
            f"guests would not call a disk on {disk.bus.value!r} {dev!r}",
            hint="leave out 'bus' or 'dev'",
            code="odd-bus",
        )


def _check_kind(disk: DiskSpec, path: Path, sink: Sink) -> None:
    if isinstance(disk, TemplateDisk):
        _check_template(disk, path, sink)
    elif isinstance(disk, FileDisk):
        if not disk.path and not disk.url:
            message = "a disk of 'type: file' needs 'path' or 'url'"
            hint = "for example 'path: images/data.qcow2'"
            sink.error(path, message, hint=hint, code="missing-key")
    elif isinstance(disk, EmptyDisk):
        _check_size(disk.size, path, sink)
        if disk.format is DiskFormat.ISO:
            message = "an empty disk cannot be an ISO image"
            hint = "qcow2 or raw"
            sink.error((*path, "format"), message, hint=hint, code="empty-iso")


def _check_template(disk: TemplateDisk, path: Path, sink: Sink) -> None:
    if disk.template_type is TemplateType.QCOW2:
        if not disk.path:
            message = "'template_type: qcow2' needs 'path', the backing file"
            sink.error(path, message, hint="for example 'path: base.qcow2'", code="missing-key")
    elif not disk.template_name:
        message = "a disk of 'type: template' needs 'template_name'"
        hint = "for example 'template_name: tiny'"
        sink.error(path, message, hint=hint, code="missing-key")
    if disk.size is not None:
        _check_size(disk.size, path, sink)


def _check_size(size: int, path: Path, sink: Sink) -> None:
    place = (*path, "size")
    if size <= 0:
        message = f"a disk cannot have {size} bytes"
        sink.error(place, message, hint="for example 10G", code="bad-size")
    elif size > MAX_SIZE:
        message = f"{size // 1024**4} TiB is more than a disk can have"
        sink.error(place, message, hint="for example 10G", code="bad-size")
    elif size < TINY_SIZE:
        message = f"a disk of {size} bytes is of little use"
        hint = "a bare number is bytes; write '10G' for GiB"
        sink.warn(place, message, hint=hint, code="tiny-size")


def _check_build(disk: DiskSpec, path: Path, sink: Sink) -> None:
    for index, step in enumerate(disk.build):
        if step.builder not in BUILDERS:
            sink.error(
                (*path, "build", index, step.builder),
                f"there is no builder {step.builder!r}",
                hint=f"there is {', '.join(BUILDERS)}",
                code="unknown-builder",
            )
