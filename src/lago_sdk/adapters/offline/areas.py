"""Where on a disk file systems are, and of which kind: partition table and first bytes."""

from __future__ import annotations

import enum
import json
import re
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import run

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_NUMBER = re.compile(r"(\d+)$")
_NEEDS_RECOVERY = 0x4
"""Bit of ``s_feature_incompat``: the journal is to be replayed (Linux, ext4/ext4.h)."""
_VALID, _ERRORS = 0x1, 0x2
"""Bits of ``s_state``: it was unmounted; errors were found."""


class Content(enum.Enum):
    """What an area of a disk holds."""

    EXT = "ext4"
    """Or its forerunners: ext4's driver has them too."""
    XFS = "xfs"
    BTRFS = "btrfs"
    LVM = "LVM"
    LUKS = "an encrypted volume"
    OTHER = "nothing we know"


_MAGICS = (
    (Content.EXT, 1024 + 0x38, b"\x53\xef"),
    (Content.XFS, 0, b"XFSB"),
    (Content.BTRFS, 0x10040, b"_BHRfS_M"),
    (Content.LVM, 512, b"LABELONE"),
    (Content.LUKS, 0, b"LUKS\xba\xbe"),
)
"""Offset of each kind's signature; as blkid(8) has them."""


@attrs.frozen(kw_only=True)
class Area:
    """A partition, or a disk without any."""

    number: int
    """Of the partition, from 1; 0 is the disk itself."""
    offset: int
    """Where it begins, in bytes."""
    content: Content
    needs_recovery: bool = False
    """Whether its journal has what is not in place yet: the guest was not shut down."""
    is_sound: bool = True
    """Whether it was unmounted, or has a journal, and no error was found in it."""


def list_areas(disk: Path) -> tuple[Area, ...]:
    """Return the partitions of a disk, in their order; the disk itself where it has none."""
    with disk.open("rb", buffering=0) as file:
        whole = _look(file, 0, 0)
        if whole.content is not Content.OTHER:
            return (whole,)
        found = run(["sfdisk", "--json", str(disk)], check=False)
        if found.code != 0:
            return (whole,)
        table = json.loads(found.out)["partitiontable"]
        size = int(table.get("sectorsize", 512))
        places = [
            (int(match[1]), int(part["start"]) * size)
            for part in table.get("partitions", ())
            if (match := _NUMBER.search(part["node"]))
        ]
        return tuple(_look(file, *place) for place in sorted(places))


def find_number(root_partition: str) -> int | None:
    """Return the number that a partition's name ends in (``/dev/vda1``), or ``None``.

    ``/dev/vda`` is a disk without partitions, which has the number 0.
    """
    name = root_partition.removeprefix("/dev/")
    match = re.fullmatch(r"(?:(?:[svh]|xv)d[a-z]+|(?:nvme\d+n|mmcblk)\d+(?=p|$)p?)(\d*)", name)
    return int(match[1] or 0) if match else None


def _look(file: BinaryIO, number: int, offset: int) -> Area:
    content = Content.OTHER
    for kind, place, magic in _MAGICS:
        if _read(file, offset + place, len(magic)) == magic:
            content = kind
            break
    needs_recovery, is_sound = False, True
    if content is Content.EXT:
        features = int.from_bytes(_read(file, offset + 1024 + 0x60, 4), "little")
        state = int.from_bytes(_read(file, offset + 1024 + 0x3A, 2), "little")
        needs_recovery = bool(features & _NEEDS_RECOVERY)
        is_sound = state & (_VALID | _ERRORS) == _VALID
    return Area(
        number=number,
        offset=offset,
        content=content,
        needs_recovery=needs_recovery,
        is_sound=is_sound,
    )


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
