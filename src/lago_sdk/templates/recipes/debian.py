"""Recipes that start from Debian: ``debian-12``, and the files that users write.

mmdebstrap installs the packages, which takes a minute or two and needs no root; the kernel,
GRUB and busybox are unpacked beside them, because the guest boots by what the image was made
with and not by what its package manager would install. systemd starts little that a lab has no
use for, so that the guest answers ssh in well under a minute without hardware virtualization.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from importlib import resources
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import get_tool
from lago_sdk.errors import TemplateError, suggest
from lago_sdk.events import stage
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.spec.recipe import RecipeSpec
from lago_sdk.templates.ext4 import CONFIG
from lago_sdk.templates.grub import PARTITION_START, SECTOR
from lago_sdk.templates.mmdebstrap import Hook, Installation, create_root_archive
from lago_sdk.templates.modules import Modules
from lago_sdk.templates.python_bytecode import date_bytecode
from lago_sdk.templates.recipes.boot import (
    TIMESTAMP,
    TOOLS,
    Layout,
    create_image,
    find_kernel,
    read_init,
    render_boot_commands,
    render_initrd,
)
from lago_sdk.templates.recipes.extras import add_files
from lago_sdk.templates.recipes.model import Built
from lago_sdk.templates.root_archive import read_root_archive, write_root_archive
from lago_sdk.templates.tree import File, Link, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from lago_sdk.events import Observer

_VERSION = "1"
_SUITE = "bookworm"
_SIZE = 4 << 30
_BYTES_PER_INODE = 16384
_UUID = "1a90c0de-0000-4000-8000-000000000012"
_MIN_MEMORY = 512
"""MiB: with less, cloud-init's Python has to be read from the disk again and again."""
_KERNEL = "linux-image-cloud-amd64"
_OPTIONS = "net.ifnames=0 audit=0"
_PACKAGES = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "iproute2",
    "iputils-ping",
    "kmod",
    "netbase",
    "openssh-server",
    "procps",
    "qemu-guest-agent",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
)
"""Without libpam-systemd: a session for each login costs a second. Without a locale but C.UTF-8."""
_DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
)
_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cloud-init-hotplugd.socket",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
)
"""Units that cost time at boot, or do something when nobody expects it."""
_UNUSED_GENERATORS = ("cryptsetup", "gpt-auto", "hibernate-resume", "integritysetup", "veritysetup")
"""Those of systemd that look for what a guest does not have; they run at every boot."""

_KIT = ".lago"
"""Directory of the tree that holds what the image is made with, and does not get into it."""
_UNPACK_KIT = """\
set -eu
mkdir "$1/KIT"
cd "$1/KIT"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
kernel=$(apt-cache depends KERNEL | sed -n '/Depends: linux-image-[0-9]/{s/.*: //p;q}')
apt-get -q -oAPT::Sandbox::User=root download "${kernel:-KERNEL}" grub-pc-bin busybox-static
for package in *.deb; do dpkg-deb -x "$package" .; rm "$package"; done
for modules in lib/modules/* usr/lib/modules/*; do
    [ -d "$modules" ] || continue
    mkdir -p "$1/usr/lib/modules"
    mv "$modules" "$1/usr/lib/modules/"
    chroot "$1" depmod "${modules##*/}"
done
"""
_PREPARE = """\
set -eu
mkdir -p "$1/run/systemd/resolve"
[ ! -e /etc/resolv.conf ] || cp /etc/resolv.conf "$1/run/systemd/resolve/stub-resolv.conf"
chroot "$1" systemctl --quiet enable \
    systemd-networkd.service lago-grow-root.service lago-host-key.service
"""
"""Commands of the recipe find names by the host's servers; nothing in /run gets into the image."""

_LEFT_BEHIND = re.compile(
    rf"{re.escape(_KIT)}/(?!boot/vmlinuz-|bin/busybox$|usr/bin/busybox$|usr/lib/grub/i386-pc/).*"
    r"|(dev|proc|run|sys|tmp)/.*"
    r"|etc/(machine-id|\.pwd\.lock|(passwd|shadow|group|gshadow|subuid|subgid)-)"
    r"|etc/ssh/ssh_host_.*"
    r"|var/cache/debconf/.*-old|var/lib/dpkg/.*-old|var/lib/systemd/random-seed"
    # Without it the journal is kept in memory, which is quicker.
    r"|var/log/journal(/.*)?"
    # A program would be run at every login, to say which kernel this is.
    r"|etc/update-motd\.d(/.*)?"
    # These are started when they are asked for, and not at every boot.
    r"|usr/lib/systemd/system/sysinit\.target\.wants/("
    r"(crypt|integrity|verity)setup\.target|proc-sys-fs-binfmt_misc\.automount"
    r"|sys-(fs-fuse-connections|kernel-(config|debug|tracing))\.mount"
    r"|systemd-(ask-password-console\.path|binfmt\.service|pcrphase.*|repart\.service))"
)
"""What is not of the guest, would be the same in all of them, tells when it was made, or takes
time at every boot."""
_EMPTIED = re.compile(r"var/(cache/(apt|ldconfig)|lib/apt/lists|log|tmp)/.*")
"""Files that are left behind as well, while their directories are waited for by programs."""


@attrs.frozen(kw_only=True)
class DebianRecipe:
    """Makes a template from a base and the changes of *spec*."""

    spec: RecipeSpec

    @property
    def name(self) -> str:
        """Name of the template."""
        return self.spec.name

    @property
    def version(self) -> str:
        """The version, with a digest of all that the recipe says.

        Raises:
            TemplateError: A file of the recipe cannot be read.
        """
        state = hashlib.sha256(read_init())
        for item in (
            attrs.asdict(attrs.evolve(self.spec, comment=None, files=())),
            (_PACKAGES, _DPKG_OPTIONS, _UNPACK_KIT, _PREPARE, render_boot_commands(_OPTIONS)),
            (_LEFT_BEHIND.pattern, _EMPTIED.pattern, CONFIG),
            [
                (path, entry.read(), entry.mode) if isinstance(entry, File) else (path, entry)
                for path, entry in _overlay(self.spec).list()
            ],
        ):
            state.update(repr(item).encode())
        return f"{_VERSION}.{state.hexdigest()[:8]}"

    def build(self, directory: Path, observer: Observer) -> Built:
        """Make the image; takes one to three minutes and 2 GB in *directory*.

        Raises:
            MissingToolError: A program is not installed.
            TemplateError: A package cannot be had, or the image not be made.
        """
        for tool in ("mmdebstrap", *TOOLS):
            get_tool(tool)
        packages = _list_packages(self.spec)
        archive, files, scratch = (directory / name for name in ("root.tar", "root", "scratch"))
        files.mkdir()
        scratch.mkdir()
        with stage(observer, "install packages", self.name):
            _install(archive, self.spec, packages, directory)
        with stage(observer, "unpack files", self.name) as running:
            tree = read_root_archive(archive, files, skip=_is_left_behind)
            archive.unlink()
            running.tell(f"{len(tree.list())} files")
        with stage(observer, "make the image", self.name):
            image = self._create_image(directory, tree, files, scratch)
        return Built(
            path=image,
            size=_layout(self.spec).disk_size,
            format=DiskFormat.QCOW2,
            metadata=_metadata(self.spec, files),
        )

    def _create_image(self, directory: Path, tree: Tree, files: Path, scratch: Path) -> Path:
        image, kit = directory / "image.qcow2", files / _KIT
        tree.remove(_KIT)
        kernel = find_kernel(kit / "boot")
        release = kernel.name.removeprefix("vmlinuz-")
        busybox = next(x for x in (kit / "bin/busybox", kit / "usr/bin/busybox") if x.exists())
        modules = Modules(files / "usr/lib/modules" / release)
        tree.add("boot/vmlinuz", File(kernel))
        tree.add("boot/initrd", File(render_initrd(busybox, modules)))
        # Empty, it is filled at the first boot; without it systemd would apply all presets.
        tree.add("etc/machine-id", File(b"", 0o444))
        date_bytecode(tree, TIMESTAMP)
        for path in ("etc/.updated", "var/.updated"):
            tree.add(path, File(b""))
        create_image(
            image,
            tree,
            layout=_layout(self.spec),
            grub=kit / "usr/lib/grub/i386-pc",
            commands=render_boot_commands(f"{_OPTIONS} {self.spec.cmdline or ''}"),
            scratch=scratch,
        )
        return image


def _is_left_behind(path: str, is_directory: bool) -> bool:  # noqa: FBT001 - a callback
    if _LEFT_BEHIND.fullmatch(path):
        return True
    return not is_directory and bool(_EMPTIED.fullmatch(path))


def _install(archive: Path, spec: RecipeSpec, packages: tuple[str, ...], directory: Path) -> None:
    overlay = directory / "overlay.tar"
    write_root_archive(overlay, _overlay(spec))
    kernel = spec.kernel or _KERNEL
    unpack = _UNPACK_KIT.replace("KIT", _KIT).replace("KERNEL", kernel)
    create_root_archive(
        archive,
        Installation(
            suite=spec.suite or _SUITE,
            mirrors=spec.mirror,
            arch="amd64",
            packages=packages,
            dpkg_options=_DPKG_OPTIONS,
            hooks=(
                Hook(command=unpack),
                Hook(command=f"tar-in {shlex.quote(str(overlay))} /"),
                Hook(command=_PREPARE),
                *(Hook.in_chroot(command) for command in spec.run),
            ),
            timestamp=TIMESTAMP,
        ),
    )


def _list_packages(spec: RecipeSpec) -> tuple[str, ...]:
    for name in spec.remove:
        if name not in _PACKAGES:
            raise TemplateError(
                f"the base {spec.base.value!r} does not ask for the package {name!r}",
                hint=suggest(name, _PACKAGES),
            )
    wanted = [name for name in _PACKAGES if name not in spec.remove]
    return tuple(dict.fromkeys([*wanted, *spec.packages]))


def _layout(spec: RecipeSpec) -> Layout:
    size = (spec.size or _SIZE) - PARTITION_START * SECTOR
    return Layout(size=size, uuid=_UUID, inodes=size // _BYTES_PER_INODE, journal=16)


def _overlay(spec: RecipeSpec) -> Tree:
    """Return the files that are put over those of the packages."""
    tree = Tree()
    for path, content in _own_files():
        tree.add(path, File(content))
    for unit in _MASKED:
        tree.add(f"etc/systemd/system/{unit}", Link("/dev/null"))
    for name in _UNUSED_GENERATORS:
        tree.add(f"etc/systemd/system-generators/systemd-{name}-generator", Link("/dev/null"))
    add_files(tree, spec)
    return tree


def _own_files() -> Iterator[tuple[str, bytes]]:
    def walk(place: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
        for item in sorted(place.iterdir(), key=lambda x: x.name):
            path = f"{above}{item.name}"
            if item.is_dir():
                yield from walk(item, f"{path}/")
            else:
                yield path, item.read_bytes()

    yield from walk(resources.files(__package__).joinpath("debian_files"), "")


def _metadata(spec: RecipeSpec, files: Path) -> dict[str, object]:
    installed = _read_packages(files / "var/lib/dpkg/status")
    kernel = find_kernel(files / _KIT / "boot").name.removeprefix("vmlinuz-")
    facts: dict[str, object] = {
        "distro": "debian",
        "arch": "x86_64",
        "ssh-user": "root",
        "root-partition": "/dev/vda1",
        "root-filesystem": "ext4",
        "systemd": _read_major(installed.get("systemd", "")),
        "firmware": "bios",
        "min-memory": _MIN_MEMORY,
        "cloud-init": "cloud-init" in installed,
        "guest-agent": "qemu-guest-agent" in installed,
        "kernel": kernel,
        "packages": installed,
    }
    return facts | dict(spec.metadata)


def _read_major(version: str) -> int | bool:
    """Return the first number of a version; ``False`` where there is none."""
    match = re.match(r"\d+", version)
    return int(match[0]) if match else False


def _read_packages(status: Path) -> Mapping[str, str]:
    """Return the versions of installed packages: dpkg's database has a paragraph for each."""
    found: dict[str, str] = {}
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version): (.*)$", paragraph, re.MULTILINE))
        if "Version" in fields:
            found[fields["Package"]] = fields["Version"]
    return dict(sorted(found.items()))
