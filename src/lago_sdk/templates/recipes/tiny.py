"""The recipe ``tiny``: a guest of a few megabytes that answers ssh seconds after power-on.

Debian's cloud kernel, busybox and dropbear, unpacked and not installed; GRUB boots it from a
PC's BIOS. It reads a NoCloud seed as cloud-init does, as far as a lab needs it: host name, keys,
host key, passwords, network, files and commands. Without a seed it takes its network from
netplan's files, and the host key that OpenSSH would. Nothing here needs root, a loop device or a
mount, and the same package versions give the same bytes. A recipe file may add packages, which
are unpacked with all they need, and files.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import get_tool, run
from lago_sdk.errors import TemplateError
from lago_sdk.events import stage
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.spec.recipe import Base, RecipeSpec
from lago_sdk.templates.debian import Apt, unpack
from lago_sdk.templates.ext4 import CONFIG
from lago_sdk.templates.grub import PARTITION_START, SECTOR
from lago_sdk.templates.modules import Modules
from lago_sdk.templates.recipes.boot import (
    BLOCK_MODULES,
    SCSI_MODULES,
    TOOLS,
    Layout,
    create_image,
    find_kernel,
    read_init,
    render_boot_commands,
    render_initrd,
)
from lago_sdk.templates.recipes.extras import add_files, add_unpacked
from lago_sdk.templates.recipes.model import Built
from lago_sdk.templates.tree import Directory, File, Link, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lago_sdk.events import Observer
    from lago_sdk.templates.debian import Package

_VERSION = "1"
_PLAIN = RecipeSpec(name="tiny", base=Base.TINY)
_SIZE = 256 << 20
"""Bytes of the partition."""
_BYTES_PER_INODE = 32768
_UUID = "1a90c0de-0000-4000-8000-000000000001"
_MIN_MEMORY = 96
"""MiB that the guest needs to boot; 80 is too little."""

_KERNEL_META = "linux-image-cloud-amd64"
_KERNEL = r"linux-image-[0-9].*-cloud-amd64"
_PACKAGES = (
    "busybox-static",
    "dropbear-bin",
    "grub-pc-bin",
    "libc-bin",
    "libc6",
    "libcrypt1",
    "libgmp10",
    "libtomcrypt1",
    "libtommath1",
    "openssh-sftp-server",
    "zlib1g",
)
_PROGRAMS = {
    "usr/sbin/dropbear": "usr/sbin/dropbear",
    "usr/bin/dbclient": "usr/bin/dbclient",
    "usr/bin/dropbearkey": "usr/bin/dropbearkey",
    "usr/lib/dropbear/dropbearconvert": "usr/lib/dropbear/dropbearconvert",
    "usr/bin/getent": "usr/bin/getent",
    "usr/lib/openssh/sftp-server": "usr/lib/sftp-server",
}
"""Programs beside busybox: where they are in the packages, and in the guest."""
_LIBRARIES = (
    "libc.so.6",
    "libcrypt.so.1",
    "libgmp.so.10",
    "libtomcrypt.so.1",
    "libtommath.so.1",
    "libz.so.1",
)
_LOADER = "ld-linux-x86-64.so.2"

_EARLY_MODULES = ("virtio_net", "isofs")
"""Loaded before the seed is read."""
_LATE_MODULES = ("button", "evdev", "virtio_rng", "virtio_balloon", "pvpanic_mmio")
"""Loaded when ssh answers."""
_MORE_MODULES = (
    "8021q",
    "ata_piix",
    "bonding",
    "bridge",
    "nls_utf8",
    "qemu_fw_cfg",
    "sr_mod",
    "virtio_console",
)
"""There for ``modprobe``."""

_ETC = {
    "group": "root:x:0:\n",
    "hostname": "tiny\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "resolv.conf": "",
    "shells": "/bin/sh\n",
}
_SCRIPTS = {
    "dhcp": "etc/lago/dhcp",
    "late": "etc/lago/late",
    "network": "etc/lago/network",
    "power-button": "etc/acpi/PWRF/00000080",
    "rcS": "etc/init.d/rcS",
    "read-seed": "etc/lago/read-seed",
    "wait-dhcp": "etc/lago/wait-dhcp",
}
_DIRECTORIES = (
    "dev",
    "etc/dropbear",
    "etc/netplan",
    "etc/ssh/sshd_config.d",
    "home",
    "mnt",
    "proc",
    "run",
    "sys",
    "var/lib/lago",
    "var/log",
)


@attrs.frozen(kw_only=True)
class TinyRecipe:
    """Makes the template ``tiny``, or one that *spec* adds to it."""

    spec: RecipeSpec = _PLAIN

    @property
    def name(self) -> str:
        """Name of the template."""
        return self.spec.name

    @property
    def version(self) -> str:
        """The version, with a digest of the guest's own files and all that the recipe says.

        Raises:
            TemplateError: A file of the recipe cannot be read.
        """
        state = hashlib.sha256(render_boot_commands().encode())
        state.update(read_init())
        state.update(CONFIG.encode())
        for name in ("inittab", "seed.awk", *_SCRIPTS):
            state.update(_read(name))
        if self.spec != _PLAIN:
            said = attrs.asdict(attrs.evolve(self.spec, comment=None, files=()))
            state.update(repr(said).encode())
            added = Tree()
            add_files(added, self.spec)
            for path, entry in added.list():
                if isinstance(entry, File):
                    state.update(repr((path, entry.mode)).encode() + entry.read())
        return f"{_VERSION}.{state.hexdigest()[:8]}"

    def build(self, directory: Path, observer: Observer) -> Built:
        """Make the image; takes some ten seconds and 300 MB in *directory*.

        Raises:
            MissingToolError: A program is not installed.
            TemplateError: A package cannot be had, or the image not be made.
        """
        for tool in ("apt-get", "dpkg-deb", *TOOLS):
            get_tool(tool)
        files, more, scratch = (directory / name for name in ("files", "more", "scratch"))
        for path in (files, more, scratch):
            path.mkdir()
        with stage(observer, "fetch packages", self.name) as running:
            packages, added = _fetch(directory, self.spec)
            running.tell(f"{len(packages) + len(added)} packages")
        with stage(observer, "unpack packages", self.name):
            unpack(packages, files)
            unpack(added, more)
        layout = _layout(self.spec)
        with stage(observer, "make the image", self.name):
            image = directory / "tiny.qcow2"
            tree = _root(files)
            add_unpacked(tree, more)
            add_files(tree, self.spec)
            create_image(
                image,
                tree,
                layout=layout,
                grub=files / "usr/lib/grub/i386-pc",
                commands=render_boot_commands(self.spec.cmdline or ""),
                scratch=scratch,
            )
        return Built(
            path=image,
            size=layout.disk_size,
            format=DiskFormat.QCOW2,
            metadata=_metadata((*packages, *added), self.spec),
        )


def _fetch(directory: Path, spec: RecipeSpec) -> tuple[tuple[Package, ...], tuple[Package, ...]]:
    """Fetch the packages of the base, and those that the recipe adds with what they need."""
    apt = Apt(directory, arch="amd64")
    kernel = apt.get_dependency(_KERNEL_META, _KERNEL)
    packages = apt.fetch((kernel, *_PACKAGES))
    return packages, apt.fetch(apt.list_needed(spec.packages)) if spec.packages else ()


def _layout(spec: RecipeSpec) -> Layout:
    size = _SIZE if spec.size is None else spec.size - PARTITION_START * SECTOR
    return Layout(size=size, uuid=_UUID, inodes=size // _BYTES_PER_INODE, journal=4)


def _metadata(packages: Sequence[Package], spec: RecipeSpec) -> dict[str, object]:
    facts: dict[str, object] = {
        "distro": "tiny",
        "arch": "x86_64",
        "ssh-user": "root",
        "root-partition": "/dev/vda1",
        "root-filesystem": "ext4",
        "cloud-init": False,
        "nocloud": True,
        "systemd": False,
        "firmware": "bios",
        "min-memory": _MIN_MEMORY,
        "packages": {package.name: package.version for package in packages},
    }
    return facts | dict(spec.metadata)


def _root(files: Path) -> Tree:
    """Return the root file system."""
    tree = Tree()
    for path in _DIRECTORIES:
        tree.add(path, Directory())
    tree.add("tmp", Directory(0o1777))
    tree.add("root/.ssh", Directory(0o700))
    tree.add("root", Directory(0o700))
    for name, text in _ETC.items():
        tree.add(f"etc/{name}", File(text.encode()))
    tree.add("etc/shadow", File(b"root:*:19000:0:99999:7:::\n", 0o600))
    tree.add("etc/inittab", File(_read("inittab")))
    tree.add("etc/lago/seed.awk", File(_read("seed.awk")))
    for name, path in _SCRIPTS.items():
        tree.add(path, File(_read(name), 0o755))
    _add_programs(tree, files)
    _add_kernel(tree, files)
    return tree


def _add_programs(tree: Tree, files: Path) -> None:
    tree.add("bin/busybox", File(files / "bin/busybox", 0o755))
    for applet in _list_applets(files / "bin/busybox"):
        tree.add(applet, Link("/bin/busybox"))
    for source, path in _PROGRAMS.items():
        tree.add(path, File(files / source, 0o755))
    for name in _LIBRARIES:
        tree.add(f"lib/x86_64-linux-gnu/{name}", File(_find_library(files, name), 0o755))
    tree.add(f"lib64/{_LOADER}", File(_find_library(files, _LOADER), 0o755))


def _list_applets(busybox: Path) -> list[str]:
    """Return where busybox wants links to itself, for example ``usr/bin/awk``."""
    return [
        path for path in run([str(busybox), "--list-full"]).out.split() if path != "bin/busybox"
    ]


def _find_library(files: Path, name: str) -> Path:
    for directory in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64"):
        path = files / directory / name
        if path.exists():
            return path.resolve()
    raise TemplateError(f"none of the packages has the library {name}")


def _add_kernel(tree: Tree, files: Path) -> None:
    kernel = find_kernel(files / "boot")
    release = kernel.name.removeprefix("vmlinuz-")
    base = f"lib/modules/{release}"
    modules = Modules(files / base)
    names = (*BLOCK_MODULES, *SCSI_MODULES, *_EARLY_MODULES, *_LATE_MODULES, *_MORE_MODULES)
    paths = modules.list(names)
    for path in paths:
        tree.add(f"{base}/{path.relative_to(modules.directory)}", File(path))
    tree.add(f"{base}/modules.dep", File(modules.render_dep(paths).encode()))
    loaded = set(modules.list((*BLOCK_MODULES, *SCSI_MODULES)))
    for name, group in (("early-modules", _EARLY_MODULES), ("late-modules", _LATE_MODULES)):
        needed = [path for path in modules.list(group) if path not in loaded]
        loaded.update(needed)
        lines = [f"/{base}/{path.relative_to(modules.directory)}\n" for path in needed]
        tree.add(f"etc/lago/{name}", File("".join(lines).encode()))
    tree.add("boot/vmlinuz", File(kernel))
    tree.add("boot/initrd", File(render_initrd(files / "bin/busybox", modules)))
    name = f'NAME=lago-tiny\nID=tiny\nVERSION_ID={_VERSION}\nPRETTY_NAME="tiny ({release})"\n'
    tree.add("etc/os-release", File(name.encode()))


def _read(name: str) -> bytes:
    return resources.files(__package__).joinpath("tiny_files", name).read_bytes()
