"""Root file systems that need an appliance to be read: LVM, xfs, btrfs and whatever Linux knows."""

from __future__ import annotations

import contextlib
import io
import re
import stat
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.landing import CHUNK, Landing
from lago_sdk.adapters.offline.areas import find_number
from lago_sdk.adapters.offline.guestfish import Guestfish
from lago_sdk.adapters.unpack import unpack
from lago_sdk.errors import ImageError, LagoError
from lago_sdk.ports.extraction import Extraction
from lago_sdk.ports.offline import SCRATCH_PREFIX, EntryKind, OfflineEntry, OfflineFile, OfflineLink
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lago_sdk.ports.offline import OfflineNode, OfflineVisit

_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.LINK,
}
_LUKS = b"crypto_LUKS"
_NO_ROOT = frozenset({"swap", "unknown", "crypto_LUKS"})
_DEFAULT_NAME = "root"
"""What Lago took for the name of a root volume where nothing said it."""


class Guestfs:
    """A `lago_sdk.ports.OfflineDisks` over libguestfs.

    One appliance runs at a time: each takes a processor for itself while it boots.

    Args:
        environ: The environment of its programs.
        has_kvm: Whether the appliance may use KVM; libguestfs sees only whether it is there.
    """

    def __init__(self, environ: Mapping[str, str], *, has_kvm: bool) -> None:
        self._environ = {"LIBGUESTFS_BACKEND": "direct", **environ}
        if not has_kvm:
            self._environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def open(
        self,
        path: Path,
        image_format: DiskFormat,
        *,
        read_only: bool,
        root_partition: str | None = None,
    ) -> Iterator[GuestfsFS]:
        """See `OfflineDisks.open`."""
        place = None if read_only else path.parent
        with (
            self._boot([(path, image_format)], read_only=read_only, place=place) as (fish, scratch),
            _mounted(fish, 0, path, root_partition, scratch, read_only=read_only) as fs,
        ):
            yield fs

    def change_all(self, changes: Sequence[OfflineVisit]) -> None:
        """See `OfflineDisks.change_all`."""
        images = [(change.path, change.image_format) for change in changes]
        place = changes[0].path.parent
        with self._boot(images, read_only=False, place=place) as (fish, scratch):
            for index, change in enumerate(changes):
                _visit(fish, index, change, scratch, read_only=False)

    def read_all(self, reads: Sequence[OfflineVisit]) -> Mapping[Path, LagoError]:
        """See `OfflineDisks.read_all`."""
        images = [(read.path, read.image_format) for read in reads]
        errors: dict[Path, LagoError] = {}
        with self._boot(images, read_only=True, place=None) as (fish, scratch):
            for index, read in enumerate(reads):
                try:
                    _visit(fish, index, read, scratch, read_only=True)
                except LagoError as error:
                    errors[read.path] = error
                    fish.run("umount-all")
        return errors

    @contextlib.contextmanager
    def _boot(
        self, images: Sequence[tuple[Path, DiskFormat]], *, read_only: bool, place: Path | None
    ) -> Iterator[tuple[Guestfish, Path]]:
        """Have an appliance with disks, in their order, and a scratch directory in *place*."""
        options = ["--ro" if read_only else "--rw"]
        for path, image_format in images:
            form = "qcow2" if image_format is DiskFormat.QCOW2 else "raw"
            options += [f"--format={form}", "-a", str(path.absolute())]
        with self._turn, tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=place) as scratch:
            fish = Guestfish(options, self._environ)
            try:
                fish.run("run")
                yield fish, Path(scratch)
                fish.run("shutdown")
            finally:
                fish.close()


class GuestfsFS:
    """A `lago_sdk.ports.OfflineFS` in an appliance."""

    def __init__(self, fish: Guestfish, scratch: Path, *, read_only: bool) -> None:
        self._fish = fish
        self._scratch = scratch
        self._read_only = read_only
        self._changed: dict[str, OfflineNode | None] = {}

    def find(self, path: str) -> OfflineEntry | None:
        """See `OfflineFS.find`."""
        return self._stat("statns", path)

    def list_directory(self, path: str) -> tuple[OfflineEntry, ...]:
        """See `OfflineFS.list_directory`."""
        listing = self._scratch / "names"
        self._fish.run("ls0", path, listing)
        names = listing.read_bytes().decode(errors="surrogateescape").split("\0")
        found = (self._stat("lstatns", f"{path}/{name}") for name in sorted(names) if name)
        return tuple(entry for entry in found if entry is not None)

    def read_file(self, path: str) -> bytes:
        """See `OfflineFS.read_file`."""
        copy = self._scratch / "file"
        self._fish.run("download", path, copy)
        return copy.read_bytes()

    def extract(self, paths: Iterable[tuple[str, Path]]) -> Extraction:
        """See `OfflineFS.extract`."""
        collected, missing, skipped = [], [], []
        for path, place in paths:
            found = self.find(path)
            if found is None:
                missing.append(path)
                continue
            landing = Landing(place, path)
            self._land(found, path, landing)
            skipped += landing.skipped
            collected.append(path)
        return Extraction(
            collected=tuple(collected), missing=tuple(missing), skipped=tuple(skipped)
        )

    def _land(self, found: OfflineEntry, path: str, landing: Landing) -> None:
        copy = self._scratch / "copy"
        if found.kind is EntryKind.DIRECTORY:
            self._fish.run("tar-out", path, copy)
            unpack(_read(copy), {(): landing})
        elif found.kind is EntryKind.FILE:
            self._fish.run("download", path, copy)
            landing.add_file((), _read(copy), mode=found.mode)
        else:
            landing.skip((), "a device, pipe or socket")
        copy.unlink(missing_ok=True)

    def write_files(self, nodes: Mapping[str, OfflineNode]) -> None:
        """See `OfflineFS.write_files`."""
        self._check_writable()
        archive = self._scratch / "archive"
        with tarfile.open(archive, "w") as tar:
            for path, node in nodes.items():
                found = self._stat("lstatns", path)
                is_directory = found is not None and found.kind is EntryKind.DIRECTORY
                if is_directory and isinstance(node, OfflineFile | OfflineLink):
                    raise ImageError(f"there is a directory at {path!r} of the disk")
                _add(tar, path, node)
        self._fish.run("tar-in", archive, "/")
        self._changed |= nodes

    def remove(self, path: str) -> None:
        """See `OfflineFS.remove`."""
        self._check_writable()
        self._fish.run("rm-rf", path)
        self._changed[path] = None

    def check_changed(self) -> None:
        """Read back what was written.

        Raises:
            ImageError: Something is not there.
        """
        for path, node in self._changed.items():
            found = self._stat("lstatns", path)
            is_there = (found is None) is (node is None)
            if is_there and isinstance(node, OfflineFile):
                is_there = self.read_file(path) == node.data
            if not is_there:
                raise ImageError(f"{path!r} is not on the disk as it was written")

    def _check_writable(self) -> None:
        if self._read_only:
            raise ImageError("the disk was opened to be read only")

    def _stat(self, command: str, path: str) -> OfflineEntry | None:
        told = self._fish.find(command, path)
        if told is None:
            return None
        fields = dict(line.split(": ") for line in told.decode().splitlines() if ": " in line)
        mode = int(fields["st_mode"])
        kind = _KINDS.get(stat.S_IFMT(mode), EntryKind.OTHER)
        return OfflineEntry(
            name=path.rstrip("/").rpartition("/")[2],
            kind=kind,
            mode=stat.S_IMODE(mode),
            uid=int(fields["st_uid"]),
            gid=int(fields["st_gid"]),
            size=int(fields["st_size"]) if kind in {EntryKind.FILE, EntryKind.LINK} else 0,
        )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _add(tar: tarfile.TarFile, path: str, node: OfflineNode) -> None:
    member = tarfile.TarInfo(path.lstrip("/"))
    if isinstance(node, OfflineLink):
        member.type, member.linkname = tarfile.SYMTYPE, node.target
        tar.addfile(member)
        return
    member.mode, member.uid, member.gid = node.mode, node.uid, node.gid
    if isinstance(node, OfflineFile):
        member.size = len(node.data)
        tar.addfile(member, io.BytesIO(node.data))
    else:
        member.type = tarfile.DIRTYPE
        tar.addfile(member)


def _visit(
    fish: Guestfish, index: int, visit: OfflineVisit, scratch: Path, *, read_only: bool
) -> None:
    """Do what is to be done to one of the disks of an appliance."""
    # Overlays of one image have the same volume groups in them, and btrfs knows a file system by
    # its uuid.
    fish.find("lvm-set-filter", _device_name(index))
    fish.find("debug", "sh", "btrfs device scan --forget")
    with _mounted(
        fish, index, visit.path, visit.root_partition, scratch, read_only=read_only
    ) as fs:
        visit.apply(fs)


@contextlib.contextmanager
def _mounted(
    fish: Guestfish,
    index: int,
    path: Path,
    root_partition: str | None,
    scratch: Path,
    *,
    read_only: bool,
) -> Iterator[GuestfsFS]:
    """Have the root file system of a disk mounted; what was written is read back."""
    _mount_root(fish, _device_name(index), path, root_partition, read_only=read_only)
    fs = GuestfsFS(fish, scratch, read_only=read_only)
    yield fs
    fs.check_changed()
    fish.run("umount-all")


def _device_name(index: int) -> str:
    """Return the name of a disk in the appliance: sda to sdz, then sdaa."""
    name = ""
    number = index + 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("a") + letter) + name
    return f"/dev/sd{name}"


def _mount_root(
    fish: Guestfish, disk: str, path: Path, root_partition: str | None, *, read_only: bool
) -> None:
    """Mount the root file system.

    Raises:
        ImageError: There is none that can be mounted.
    """
    command = "mount-ro" if read_only else "mount"
    for device in _list_candidates(fish, disk, root_partition):
        if fish.find(command, device, "/") is None:
            continue
        if fish.run("is-dir", "/etc").strip() == b"true":
            return
        fish.run("umount", "/")
    if _is_encrypted(fish, disk):
        raise ImageError(
            f"the disk {str(path)!r} is encrypted (LUKS)",
            hint="its key is the guest's: start the VM, and its files come over ssh",
        )
    raise ImageError(
        f"no root file system was found on the disk {str(path)!r}",
        hint="name it in the template's metadata as root-partition",
    )


def _is_encrypted(fish: Guestfish, disk: str) -> bool:
    """Whether there is an encrypted area on a disk, or on a volume of its groups."""
    partitions = fish.run("list-partitions").decode().split()
    own = [disk, *(name for name in partitions if name.startswith(disk))]
    volumes = fish.run("lvs").decode().split()
    return any((fish.find("vfs-type", name) or b"").strip() == _LUKS for name in own + volumes)


def _list_candidates(fish: Guestfish, disk: str, root_partition: str | None) -> list[str]:
    """Return what may be the root file system of a disk, the likeliest first."""
    rows = fish.run("list-filesystems").decode(errors="replace").splitlines()
    pairs = [row.rpartition(": ")[::2] for row in rows]
    # Volumes of LVM do not tell whose they are: the filter does.
    own = re.compile(rf"(btrfsvol:)?{disk}\d*(/.*)?|(?!(btrfsvol:)?/dev/sd[a-z]).*")
    devices = [name for name, kind in pairs if kind not in _NO_ROOT and own.fullmatch(name)]
    wanted = root_partition or _DEFAULT_NAME
    number = find_number(wanted)
    if number is not None:
        wanted = f"{disk}{number or ''}"
    return sorted(devices, key=lambda name: (name != wanted, wanted not in name))
