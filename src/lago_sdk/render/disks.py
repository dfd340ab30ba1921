"""The disks of a domain (https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms).

Media with a CD-ROM's content are on virtio controllers, because kernels made for clouds have no
driver for AHCI. The backing chain is left for QEMU to read from the overlay: a chain written
down here would outlive a change of it.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.render.elements import add, write
from lago_sdk.spec.disk import DiskBus, DiskCache, DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

    from lago_sdk.plan.models import DiskPlan, VMPlan

_LETTERS = string.ascii_lowercase
_SCSI_UNITS = 15
"""Disks that libvirt puts on one SCSI controller before it needs the next."""
_NO_IDE = "q35"


@attrs.frozen(kw_only=True)
class Drive:
    """One ``<disk>`` as it is written."""

    source: str
    """Absolute path of the image."""
    format: str
    dev: str
    bus: DiskBus
    cdrom: bool = False
    read_only: bool = False
    cache: DiskCache = DiskCache.WRITEBACK
    serial: str | None = None


def list_drives(vm: VMPlan, root: PurePosixPath, machine: str) -> tuple[Drive, ...]:
    """Return the drives of *vm*, its disks first and in their order, its seed last."""
    drives: list[Drive] = []
    taken = {disk.dev for disk in vm.disks}
    for disk in vm.disks:
        bus = _choose_bus(disk, machine)
        dev = disk.dev
        if bus is not disk.bus:
            dev = find_next_dev("sd", taken)
            taken.add(dev)
        drives.append(_plan_drive(disk, bus, dev, root))
    if vm.seed is not None:
        drives.append(
            Drive(
                source=str(root / vm.seed),
                format="raw",
                dev=find_next_dev("vd", taken),
                bus=DiskBus.VIRTIO,
                read_only=True,
            )
        )
    return tuple(drives)


def add_drive(devices: ET.Element, drive: Drive, *, boot_order: int | None = None) -> None:
    """Append the ``<disk>`` element of *drive*."""
    attributes = {"type": "file", "device": "cdrom" if drive.cdrom else "disk"}
    if drive.read_only:
        attributes["snapshot"] = "no"
    disk = add(devices, "disk", attributes)
    driver = {"name": "qemu", "type": drive.format, "cache": drive.cache.value}
    if not drive.read_only:
        driver["discard"] = "unmap"
    add(disk, "driver", driver)
    add(disk, "source", {"file": drive.source})
    add(disk, "target", {"dev": drive.dev, "bus": drive.bus.value})
    if drive.serial is not None:
        add(disk, "serial", text=drive.serial)
    if drive.read_only:
        add(disk, "readonly")
    if boot_order is not None:
        add(disk, "boot", {"order": str(boot_order)})


def render_drive(drive: Drive) -> str:
    """Return the ``<disk>`` element of *drive* by itself, to be plugged into a domain that runs."""
    devices = ET.Element("devices")
    add_drive(devices, drive)
    return write(devices[0])


def add_scsi_controllers(devices: ET.Element, drives: Iterable[Drive]) -> None:
    """Add as many virtio-scsi controllers as the drives need; libvirt's own are of another kind."""
    units = [_dev_index(drive.dev) for drive in drives if drive.bus is DiskBus.SCSI]
    if not units:
        return
    for index in range(max(units) // _SCSI_UNITS + 1):
        add(devices, "controller", {"type": "scsi", "index": str(index), "model": "virtio-scsi"})


def _plan_drive(disk: DiskPlan, bus: DiskBus, dev: str, root: PurePosixPath) -> Drive:
    iso = disk.format is DiskFormat.ISO
    return Drive(
        source=str(root / disk.path),
        format="raw" if iso else disk.format.value,
        dev=dev,
        bus=bus,
        cdrom=iso and bus is not DiskBus.VIRTIO,
        read_only=iso,
        cache=disk.spec.cache or DiskCache.WRITEBACK,
        serial=disk.spec.serial,
    )


def _choose_bus(disk: DiskPlan, machine: str) -> DiskBus:
    """Return the controller that *disk* can be on: q35 has no IDE."""
    if disk.bus is not DiskBus.IDE or _NO_IDE not in machine:
        return disk.bus
    return DiskBus.SCSI if disk.format is DiskFormat.ISO else DiskBus.SATA


def find_next_dev(stem: str, taken: Iterable[str]) -> str:
    """Return the device name after the last one of *stem* that is taken."""
    used = [_dev_index(dev) for dev in taken if dev.startswith(stem)]
    return stem + _dev_letters(max(used, default=-1) + 1)


def _dev_index(dev: str) -> int:
    """Return the position of a device by its letters: ``vda`` 0, ``vdz`` 25, ``vdaa`` 26."""
    index = 0
    for letter in dev[2:]:
        index = index * len(_LETTERS) + _LETTERS.index(letter) + 1
    return index - 1


def _dev_letters(index: int) -> str:
    """Return the letters of the device at *index*: the inverse of `_dev_index`."""
    letters = ""
    index += 1
    while index > 0:
        index, rest = divmod(index - 1, len(_LETTERS))
        letters = _LETTERS[rest] + letters
    return letters
