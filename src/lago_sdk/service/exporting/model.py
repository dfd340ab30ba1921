"""What an export is to be, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.ports import Compression

if TYPE_CHECKING:
    from collections.abc import Mapping

INIT_FILE = "LagoInitFile"
MANIFEST = "export.json"
HASH, METADATA = ".hash", ".metadata"
"""What is added to an image's name for its digest and its facts."""


def count_bytes(path: Path) -> int:
    """Return what a file takes on the disk, in bytes; holes take nothing."""
    info = path.stat()
    return min(info.st_size, info.st_blocks * 512)


@attrs.frozen(kw_only=True)
class ExportChoice:
    """How a prefix is exported."""

    standalone: bool = False
    """With what the templates hold; else only what lies above them."""
    compression: Compression | None = None
    ova: bool = False
    """An appliance for each VM in place of its images."""
    scripts: bool = False
    """With the deploy scripts."""


@attrs.frozen(kw_only=True)
class ExportedDisk:
    """A disk of an export."""

    vm: str
    disk: str
    """Its name in the VM."""
    path: Path
    """The image; in an export of appliances the archive that it is in."""
    digest: str
    """``sha256:<hex>`` of the image, decompressed where it is compressed; in an appliance it is
    a VMDK."""
    size: int
    """Bytes that a guest sees."""
    file_size: int
    """Bytes that the image's file takes on the disk; holes take none."""
    base: str | None = None
    """``name:version`` of the template that it is a layer on; ``None`` for a whole image."""

    def moved(self, path: Path) -> ExportedDisk:
        """Return the disk as one that is at *path*."""
        return attrs.evolve(self, path=path)


@attrs.frozen(kw_only=True)
class ExportReport:
    """What was exported."""

    directory: Path
    """Absolute; it holds nothing else."""
    init_file: Path
    disks: tuple[ExportedDisk, ...]
    """By VM and disk, in the order of the init file."""
    vms: tuple[str, ...]
    """The VMs that are in it."""
    size: int
    """Bytes that all its files take on the disk."""
    seconds: float

    @property
    def paths(self) -> Mapping[str, tuple[Path, ...]]:
        """The images of each VM, by its name."""
        return {
            vm: tuple(dict.fromkeys(disk.path for disk in self.disks if disk.vm == vm))
            for vm in self.vms
        }
