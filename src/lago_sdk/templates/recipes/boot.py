"""What the guests of all recipes boot with: GRUB, an initial file system, one partition."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError
from lago_sdk.templates.cpio import render_cpio
from lago_sdk.templates.ext4 import create_ext4
from lago_sdk.templates.grub import (
    PARTITION_START,
    SECTOR,
    create_grub_core,
    write_boot_sectors,
)
from lago_sdk.templates.tree import Directory, File, Link, Tree

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.templates.modules import Modules

TOOLS = ("grub-mkimage", "mke2fs", "debugfs", "qemu-img")
"""Programs that make an image."""
TIMESTAMP = 1704067200
"""1 January 2024, the date of everything in an image."""
BLOCK_MODULES = ("virtio_pci", "virtio_blk")
SCSI_MODULES = ("virtio_scsi", "sd_mod")
"""In the initial file system; the latter are loaded where there is a SCSI controller."""

_LABEL = "lagoroot"
_SIGNATURE = 0x1A90C0DE
_OPTIONS = "console=ttyS0 quiet mitigations=off random.trust_cpu=on tsc=reliable no_timer_check"


@attrs.frozen(kw_only=True)
class Layout:
    """The partition of an image."""

    size: int
    """Bytes of the partition; a whole number of MiB."""
    uuid: str
    """UUID of its file system."""
    inodes: int
    """How many files and directories it may hold."""
    journal: int
    """MiB of its journal."""

    @property
    def disk_size(self) -> int:
        """Bytes of the whole disk."""
        return PARTITION_START * SECTOR + self.size


def render_boot_commands(options: str = "") -> str:
    """Return GRUB's commands, with kernel *options* beside those of all guests."""
    words = f"{_OPTIONS} {options}".rstrip()
    return f"""\
set root=(hd0,msdos1)
linux /boot/vmlinuz root=LABEL={_LABEL} rw {words}
initrd /boot/initrd
boot
"""


def read_init() -> bytes:
    """Return the first program of the initial file system."""
    return resources.files(__package__).joinpath("boot_files", "init").read_bytes()


def find_kernel(directory: Path) -> Path:
    """Return the kernel in *directory*, the ``boot`` of an unpacked kernel package.

    Raises:
        TemplateError: There is none.
    """
    kernel = next(directory.glob("vmlinuz-*"), None)
    if kernel is None:
        raise TemplateError("the kernel package has no /boot/vmlinuz-*")
    return kernel


def render_initrd(busybox: Path, modules: Modules) -> bytes:
    """Return an initial file system that finds the root file system and hands over to it.

    Args:
        busybox: A busybox that needs no libraries.
        modules: The kernel's modules.

    Raises:
        TemplateError: The kernel lacks a driver.
    """
    tree = Tree()
    for path in ("dev", "proc", "root", "sys"):
        tree.add(path, Directory())
    tree.add("init", File(read_init(), 0o755))
    tree.add("bin/busybox", File(busybox, 0o755))
    # The shell finds applets by /proc/self/exe, so these two are needed before /proc is there.
    tree.add("bin/sh", Link("busybox"))
    tree.add("bin/mount", Link("busybox"))
    loaded: set[Path] = set()
    for name, group in (("block-modules", BLOCK_MODULES), ("scsi-modules", SCSI_MODULES)):
        needed = [path for path in modules.list(group) if path not in loaded]
        loaded.update(needed)
        for module in needed:
            tree.add(f"lib/{module.name}", File(module))
        tree.add(f"lib/{name}", File("".join(f"/lib/{x.name}\n" for x in needed).encode()))
    return render_cpio(tree)


def create_image(
    path: Path, tree: Tree, *, layout: Layout, grub: Path, commands: str, scratch: Path
) -> None:
    """Make a qcow2 image that a PC's BIOS boots.

    Args:
        path: The image to make; intermediate files lie beside it.
        tree: The root file system, with ``boot/vmlinuz`` and ``boot/initrd``.
        layout: Its partition.
        grub: Directory of GRUB's i386-pc modules.
        commands: What GRUB does.
        scratch: An empty directory for intermediate files.

    Raises:
        MissingToolError: A program is not installed.
        TemplateError: It cannot be made, or the tree does not fit.
        ToolError: A program failed.
    """
    disk, core = path.with_name("disk.raw"), path.with_name("core.img")
    create_ext4(
        disk,
        tree,
        offset=PARTITION_START * SECTOR,
        size=layout.size,
        label=_LABEL,
        uuid=layout.uuid,
        timestamp=TIMESTAMP,
        scratch=scratch,
        inodes=layout.inodes,
        journal=layout.journal,
    )
    create_grub_core(core, grub=grub, commands=commands, scratch=scratch)
    write_boot_sectors(
        disk,
        boot=(grub / "boot.img").read_bytes(),
        core=core.read_bytes(),
        signature=_SIGNATURE,
        partition_size=layout.size,
    )
    # One coroutine writes clusters in order, so the same disk gives the same file. It is not
    # compressed: GRUB reads in small pieces, and would have each cluster unpacked many times.
    run(["qemu-img", "convert", "-m", "1", "-f", "raw", "-O", "qcow2", str(disk), str(path)])
    disk.unlink()
