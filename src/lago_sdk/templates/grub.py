"""A disk that a PC's BIOS boots: MBR, GRUB in the gap behind it, one partition.

Nothing is installed: GRUB's boot sector and a core image with the boot commands inside are
written where GRUB's own installer puts them (GRUB manual, "BIOS installation").
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
PARTITION_START = 2048
"""First sector of the partition: the customary 1 MiB."""
_BOOT_CODE = 440
"""Bytes of the MBR before the disk's signature and the partition table."""
_LINUX = 0x83
_ACTIVE = 0x80
_NO_CHS = b"\xfe\xff\xff"
_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")


def create_grub_core(path: Path, *, grub: Path, commands: str, scratch: Path) -> None:
    """Make GRUB's core image, which runs *commands* at boot.

    Args:
        path: The core image to make.
        grub: Directory of GRUB's i386-pc modules.
        commands: GRUB commands, one a line.
        scratch: A directory for the command file.

    Raises:
        MissingToolError: grub-mkimage is not installed.
        ToolError: It failed.
    """
    config = scratch / "grub.cfg"
    config.write_text(commands)
    argv = ["grub-mkimage", "-d", str(grub), "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub"]
    run([*argv, "-c", str(config), "-o", str(path), *_MODULES])


def write_boot_sectors(
    path: Path, *, boot: bytes, core: bytes, signature: int, partition_size: int
) -> None:
    """Write MBR and core image to the disk *path*.

    Args:
        path: The raw disk.
        boot: GRUB's ``boot.img``.
        core: GRUB's core image.
        signature: The disk's signature, a 32-bit number.
        partition_size: Bytes of the partition.

    Raises:
        TemplateError: The core image does not fit before the partition.
    """
    if len(core) > (PARTITION_START - 1) * SECTOR:
        raise TemplateError(f"GRUB's core image is too large: {len(core)} bytes")
    sectors = partition_size // SECTOR
    partition = struct.pack(
        "<B3sB3sII", _ACTIVE, _NO_CHS, _LINUX, _NO_CHS, PARTITION_START, sectors
    )
    mbr = boot[:_BOOT_CODE] + struct.pack("<IH", signature, 0) + partition.ljust(64, b"\x00")
    with path.open("r+b") as file:
        file.write(mbr + b"\x55\xaa" + core)
