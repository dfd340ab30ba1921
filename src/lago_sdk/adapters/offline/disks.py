"""Opening the root file system of a disk that no VM uses, by the quickest road that works."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.offline.areas import Content, find_number, list_areas
from lago_sdk.adapters.offline.export import (
    NoExportError,
    copy_image,
    export_image,
    overlay_image,
)
from lago_sdk.adapters.offline.ext import ExtFS
from lago_sdk.adapters.process import run
from lago_sdk.errors import ApplianceNeededError, ImageError, shorten
from lago_sdk.ports.offline import SCRATCH_PREFIX, RootLook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lago_sdk.adapters.offline.areas import Area
    from lago_sdk.adapters.offline.guestfs import Guestfs
    from lago_sdk.errors import LagoError
    from lago_sdk.ports.offline import OfflineFS, OfflineVisit
    from lago_sdk.spec.disk import DiskFormat

_REPAIRED = 1
"""Bit of e2fsck's exit code: it changed something, for the better."""
_NO_FUSE = "/dev/fuse cannot be used here, so that disks cannot be opened without an appliance"
_NO_ROOT = frozenset({Content.EXT, Content.OTHER})
_SIGNS_OF_ROOT = ("/etc/os-release", "/usr/lib/os-release", "/etc/fstab", "/etc")
"""What a root file system has, the surest first."""


class LocalDisks:
    """A `lago_sdk.ports.OfflineDisks` of this machine.

    ext2, ext3 and ext4 are read and written in some ten milliseconds, by any user. What else there
    is (LVM, xfs, btrfs) takes libguestfs, which boots an appliance.

    Args:
        guestfs: Opens what we cannot.
    """

    def __init__(self, guestfs: Guestfs) -> None:
        self._guestfs = guestfs

    @contextlib.contextmanager
    def open(
        self,
        path: Path,
        image_format: DiskFormat,
        *,
        read_only: bool,
        root_partition: str | None = None,
        may_boot: bool = True,
    ) -> Iterator[OfflineFS]:
        """See `OfflineDisks.open`."""
        # What is written may be secret: it is beside the image, and goes where that goes. What
        # is mounted is not: nobody could remove it if everything was killed.
        place = None if read_only else path.parent
        with (
            tempfile.TemporaryDirectory(prefix="lago-disk-") as scratch,
            tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=place) as copies,
            contextlib.ExitStack() as stack,
        ):
            image = _Image(path, image_format, Path(scratch), Path(copies))
            open_fs = image.open_to_read if read_only else image.open_to_write
            fs: OfflineFS | None = open_fs(stack, root_partition)
            if fs is None and not may_boot:
                raise image.explain(root_partition)
            if fs is None:
                stack.close()
                fs = stack.enter_context(
                    self._guestfs.open(
                        path, image_format, read_only=read_only, root_partition=root_partition
                    )
                )
            yield fs

    @contextlib.contextmanager
    def look(
        self, path: Path, image_format: DiskFormat, *, root_partition: str | None = None
    ) -> Iterator[RootLook]:
        """See `OfflineDisks.look`."""
        with (
            tempfile.TemporaryDirectory(prefix="lago-disk-") as scratch,
            contextlib.ExitStack() as stack,
        ):
            try:
                disk = stack.enter_context(
                    export_image(path, image_format, read_only=True, scratch=Path(scratch))
                )
            except NoExportError as error:
                raise ImageError(_NO_FUSE) from error
            area = find_root(disk, Path(scratch), root_partition)
            if area is None:
                yield RootLook(kind=_find_kind(disk, root_partition))
                return
            fs = ExtFS(_device(disk, area), Path(scratch))
            try:
                yield RootLook(kind=Content.EXT.value, fs=fs)
            finally:
                fs.close()

    def change_all(self, changes: Sequence[OfflineVisit]) -> None:
        """See `OfflineDisks.change_all`."""
        self._guestfs.change_all(changes)

    def read_all(self, reads: Sequence[OfflineVisit]) -> Mapping[Path, LagoError]:
        """See `OfflineDisks.read_all`."""
        return self._guestfs.read_all(reads)


class _Image:
    """A disk image that is being opened; what was opened is let go of by the caller's stack."""

    def __init__(self, path: Path, image_format: DiskFormat, scratch: Path, copies: Path) -> None:
        self._path = path
        self._format = image_format
        self._scratch = scratch
        self._copies = copies

    def open_to_read(self, stack: contextlib.ExitStack, root_partition: str | None) -> ExtFS | None:
        """Open its root file system; ``None`` where that is not for us."""
        has_fuse = True
        with contextlib.ExitStack() as first:
            try:
                disk = first.enter_context(self._export(read_only=True))
            except NoExportError:
                has_fuse = False
                copy = copy_image(self._path, self._format, scratch=self._scratch)
                disk = first.enter_context(copy)
            area = find_root(disk, self._scratch, root_partition)
            if area is None:
                return None
            if not area.needs_recovery:
                stack.enter_context(first.pop_all())
                return stack.enter_context(self._hold(_device(disk, area), writable=False))
        # The guest was not shut down. What it wrote last is in the journal, which is put in place
        # over the image and not in it.
        make = overlay_image if has_fuse else copy_image
        image = make(self._path, self._format, scratch=self._scratch, offset=area.offset)
        return self._recover(stack, stack.enter_context(image), writable=False)

    def open_to_write(
        self, stack: contextlib.ExitStack, root_partition: str | None
    ) -> ExtFS | None:
        """Open its root file system for changes; ``None`` where that is not for us."""
        with contextlib.ExitStack() as first:
            try:
                disk = first.enter_context(self._export(read_only=False))
            except NoExportError:
                return None
            area = find_root(disk, self._scratch, root_partition)
            if area is None:
                return None
            if not area.is_sound:
                raise ImageError(
                    "the root file system was not unmounted, or is damaged",
                    hint="have e2fsck -f mend it before it is written to",
                )
            if not area.needs_recovery:
                stack.enter_context(first.pop_all())
                return stack.enter_context(self._hold(_device(disk, area), writable=True))
        image = self._export(read_only=False, offset=area.offset)
        return self._recover(stack, stack.enter_context(image), writable=True)

    def explain(self, root_partition: str | None) -> ApplianceNeededError:
        """Return the error for an image that only an appliance can open."""
        try:
            with self._export(read_only=True) as disk:
                kind = _find_kind(disk, root_partition)
        except NoExportError:
            return ApplianceNeededError(
                _NO_FUSE, hint="load the module fuse; or use 'bootstrap: guestfs'"
            )
        there = "no root file system was found" if kind is None else f"the root is on {kind}"
        return ApplianceNeededError(
            f"only ext4 is written to without an appliance, and {there}",
            hint="use 'bootstrap: guestfs', which boots one",
        )

    def _export(
        self, *, read_only: bool, offset: int = 0
    ) -> contextlib.AbstractContextManager[Path]:
        return export_image(
            self._path, self._format, read_only=read_only, scratch=self._scratch, offset=offset
        )

    def _recover(self, stack: contextlib.ExitStack, area: Path, *, writable: bool) -> ExtFS:
        """Put in place what is in the journal only, and open the file system.

        It must begin at the beginning of the file: e2fsck forgets any offset after a recovery.
        """
        _run_e2fsck(["-p", "-E", "journal_only"], str(area), self._path)
        return stack.enter_context(self._hold(str(area), writable=writable))

    @contextlib.contextmanager
    def _hold(self, device: str, *, writable: bool) -> Iterator[ExtFS]:
        """Have the file system; what was changed is looked at afterwards."""
        fs = ExtFS(device, self._copies, writable=writable)
        try:
            yield fs
        finally:
            fs.close()
        if fs.changed:
            # Reading ahead makes it read three times as much through FUSE.
            _run_e2fsck(["-f", "-n", "-E", "readahead_kb=0"], device, self._path)
            again = ExtFS(device, self._copies)
            try:
                again.check_changed(fs.changed)
            finally:
                again.close()


def find_root(disk: Path, scratch: Path, root_partition: str | None) -> Area | None:
    """Return the area of the guest's root file system, or ``None`` where none is on ext.

    Args:
        disk: The disk's content.
        scratch: A directory of our own.
        root_partition: Its partition, by the guest's name; found out when ``None``, or when it is
            not a partition's name.

    Raises:
        ImageError: A file system is damaged.
    """
    areas = list_areas(disk)
    number = None if root_partition is None else find_number(root_partition)
    named = [area for area in areas if area.number == number]
    fit = [area for area in named or areas if area.content is Content.EXT]
    if named or len(areas) == 1:
        return fit[0] if fit else None
    return _find_by_signs(fit, disk, scratch)


def _find_kind(disk: Path, root_partition: str | None) -> str | None:
    """Return what the root file system is that is not on ext, as far as it can be told."""
    number = None if root_partition is None else find_number(root_partition)
    areas = sorted(list_areas(disk), key=lambda area: area.number != number)
    known = (area.content.value for area in areas if area.content not in _NO_ROOT)
    return next(known, None)


def _find_by_signs(areas: Sequence[Area], disk: Path, scratch: Path) -> Area | None:
    found: list[tuple[int, int, Area]] = []
    for area in areas:
        fs = ExtFS(_device(disk, area), scratch)
        try:
            signs = (index for index, path in enumerate(_SIGNS_OF_ROOT) if fs.find(path))
            first = next(signs, None)
        finally:
            fs.close()
        if first is not None:
            found.append((first, area.number, area))
    return min(found)[2] if found else None


def _device(disk: Path, area: Area) -> str:
    return f"{disk}?offset={area.offset}" if area.offset else str(disk)


def _run_e2fsck(options: list[str], device: str, path: Path) -> None:
    done = run(["e2fsck", *options, device], check=False)
    if done.code & ~_REPAIRED or (done.code and "-n" in options):
        told = shorten(done.out + done.err, 400)
        raise ImageError(f"the file system of {str(path)!r} is damaged: {told}")
