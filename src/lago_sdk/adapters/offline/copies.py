"""Copying files and directories out of a guest's file system by debugfs."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.landing import Landing, landing_error
from lago_sdk.errors import ImageError
from lago_sdk.ports.offline import OfflineFile, OfflineLink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.adapters.landing import Parts
    from lago_sdk.adapters.offline.debugfs import Debugfs, Inode
    from lago_sdk.adapters.offline.paths import Tree
    from lago_sdk.ports.extraction import Skipped
    from lago_sdk.ports.offline import OfflineNode

_OUT = "out"
"""In our scratch directory: leads to where a file is copied to."""


class Copies:
    """Copies of what a file system holds.

    Args:
        debugfs: Reads the files; it runs in *scratch*.
        tree: Lists the directories.
        scratch: A directory of our own.
    """

    def __init__(self, debugfs: Debugfs, tree: Tree, scratch: Path) -> None:
        self._debugfs = debugfs
        self._tree = tree
        self._scratch = scratch

    def read(self, inode: Inode) -> bytes:
        """Return the content of a file.

        Raises:
            ImageError: Not all of it can be read.
        """
        self._debugfs.dump(inode.number, "read")
        copy = self._scratch / "read"
        try:
            data = copy.read_bytes()
        except FileNotFoundError:
            data = b""
        copy.unlink(missing_ok=True)
        if len(data) != inode.size:
            raise ImageError(f"the file {inode.name!r} of the disk cannot be read")
        return data

    def is_as_written(self, found: Inode | None, node: OfflineNode | None) -> bool:
        """Whether *found* is what *node* says; ``None`` is nothing."""
        if found is None or node is None:
            return found is None and node is None
        if isinstance(node, OfflineLink):
            return stat.S_ISLNK(found.mode) and self._debugfs.read_link(found) == node.target
        if (found.uid, found.gid, stat.S_IMODE(found.mode)) != (node.uid, node.gid, node.mode):
            return False
        if isinstance(node, OfflineFile):
            return stat.S_ISREG(found.mode) and self.read(found) == node.data
        return stat.S_ISDIR(found.mode)

    def land(self, top: Inode, place: Path, origin: str) -> list[Skipped]:
        """Copy a file, or a directory with all below it, to *place*; returns what was left out.

        Args:
            top: What to copy.
            place: Its name here.
            origin: Its name in the guest, for messages.

        Raises:
            LagoError: It cannot be written here.
        """
        landing = Landing(place, origin)
        # Beside the place, so that files can be moved there. In it nobody but us sees them while
        # they have the guest's owner and setuid bits.
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            workshop = tempfile.mkdtemp(prefix=".lago-", dir=place.parent)
        except OSError as error:
            raise landing_error(place.parent, error) from error
        (self._scratch / _OUT).symlink_to(Path(workshop).absolute())
        try:
            self._land_all(top, landing, Path(workshop))
            landing.finish()
        finally:
            (self._scratch / _OUT).unlink()
            shutil.rmtree(workshop)
        return landing.skipped

    def _land_all(self, top: Inode, landing: Landing, workshop: Path) -> None:
        first: dict[int, Parts] = {}
        for inode, parts in self._walk(top, landing):
            if stat.S_ISDIR(inode.mode):
                landing.add_directory(parts, inode.mode)
            elif stat.S_ISLNK(inode.mode):
                landing.add_link(parts, self._debugfs.read_link(inode))
            elif not stat.S_ISREG(inode.mode):
                landing.skip(parts, "a device, pipe or socket")
            elif inode.number in first:
                landing.add_hard_link(parts, landing, first[inode.number])
            else:
                self._land_file(inode, parts, landing, workshop)
                first[inode.number] = parts

    def _walk(self, top: Inode, landing: Landing) -> Iterator[tuple[Inode, Parts]]:
        """Yield an inode and all below it, directories before what is in them, none twice."""
        seen: set[int] = set()
        todo: list[tuple[Inode, Parts]] = [(top, ())]
        while todo:
            inode, parts = todo.pop()
            if stat.S_ISDIR(inode.mode):
                if inode.number in seen:
                    landing.skip(parts, "a directory that is elsewhere too")
                    continue
                seen.add(inode.number)
                try:
                    entries = self._tree.list_entries(inode)
                except ImageError as error:
                    landing.skip(parts, error.message)
                    continue
                below = sorted(entries.items(), reverse=True)
                todo += [(entry, (*parts, name)) for name, entry in below]
            yield inode, parts

    def _land_file(self, inode: Inode, parts: Parts, landing: Landing, workshop: Path) -> None:
        self._debugfs.dump(inode.number, f"{_OUT}/file")
        copy = workshop / "file"
        try:
            found = copy.stat()
        except FileNotFoundError:
            landing.skip(parts, "it cannot be read")
            return
        if found.st_size != inode.size:
            free = shutil.disk_usage(workshop).free
            short = "there is no room for it here" if free < inode.size else "it cannot be read"
            copy.unlink()
            landing.skip(parts, short)
            return
        if os.geteuid() == 0:
            os.chown(copy, 0, os.getegid())
        landing.take_file(parts, copy, mode=inode.mode, mtime=found.st_mtime)
