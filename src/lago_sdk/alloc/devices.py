"""Device names of disks, and the bus that each is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.spec.disk import DiskBus, DiskFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.spec.disk import DiskSpec

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_PREFIXES = {
    DiskBus.VIRTIO: "vd",
    DiskBus.SCSI: "sd",
    DiskBus.SATA: "sd",
    DiskBus.IDE: "hd",
}
_CDROM = DiskBus.SCSI
"""Kernels made for clouds have no driver for AHCI, and so see nothing on SATA."""
_BUSES = {"vd": DiskBus.VIRTIO, "sd": DiskBus.SCSI, "hd": DiskBus.IDE}


def allocate_devices(
    disks: Sequence[DiskSpec], *, has_ide: bool
) -> tuple[tuple[str, DiskBus], ...]:
    """Decide device name and bus of each disk of a VM, in order.

    A written ``dev`` is kept and tells the bus where that is not written: ``vd`` virtio, ``sd``
    virtio-scsi, ``hd`` IDE. Without either, a CD-ROM goes to virtio-scsi, all else to virtio.

    Args:
        disks: The disks of one VM.
        has_ide: Whether the machine has an IDE controller (``pc`` has, ``q35`` has not). Where it
            has none, IDE disks are put on SATA, and CD-ROMs on virtio-scsi, under the ``sd`` name
            of the same letter or, where that is taken, the next free one; guests name disks of
            both kinds ``sd`` anyway.
    """
    buses = [_find_bus(disk) for disk in disks]
    names: list[str | None] = [disk.dev for disk in disks]
    used = {name for name in names if name is not None}
    if not has_ide:
        for at, bus in enumerate(buses):
            if bus is DiskBus.IDE:
                iso = disks[at].format is DiskFormat.ISO
                buses[at] = _CDROM if iso else DiskBus.SATA
                names[at] = _rename_ide(names[at], used)
    return tuple(
        (name or _next_device(_PREFIXES[bus], used), bus)
        for name, bus in zip(names, buses, strict=True)
    )


def device_name(prefix: str, index: int) -> str:
    """Return the name of disk *index* (from 0): ``vda`` … ``vdz``, ``vdaa`` and so on."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, len(_LETTERS))
        letters = _LETTERS[letter] + letters
    return prefix + letters


def _find_bus(disk: DiskSpec) -> DiskBus:
    if disk.bus is not None:
        return disk.bus
    if disk.dev is not None:
        return _BUSES.get(disk.dev[:2], DiskBus.VIRTIO)
    return _CDROM if disk.format is DiskFormat.ISO else DiskBus.VIRTIO


def _rename_ide(name: str | None, used: set[str]) -> str | None:
    """Return the ``sd`` name of the IDE disk *name*; ``None`` when the next free one will do."""
    if name is None or not name.startswith(_PREFIXES[DiskBus.IDE]):
        return name
    renamed = _PREFIXES[DiskBus.SATA] + name[2:]
    if renamed in used:
        return None
    used.add(renamed)
    return renamed


def _next_device(prefix: str, used: set[str]) -> str:
    index = 0
    while (name := device_name(prefix, index)) in used:
        index += 1
    used.add(name)
    return name
