"""The root file system of a guest on ext2, ext3 or ext4, through debugfs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from lago_sdk.adapters.offline.changes import Changes
from lago_sdk.adapters.offline.copies import Copies
from lago_sdk.adapters.offline.debugfs import Debugfs
from lago_sdk.adapters.offline.paths import Tree
from lago_sdk.errors import ImageError
from lago_sdk.ports.extraction import Extraction
from lago_sdk.ports.offline import EntryKind, OfflineEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lago_sdk.adapters.offline.debugfs import Inode
    from lago_sdk.ports.offline import OfflineNode

_KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.LINK,
}


class ExtFS:
    """A `lago_sdk.ports.OfflineFS` over debugfs; close it whatever happens.

    Args:
        device: The file system: a path, with ``?offset=N`` where it begins later.
        scratch: A directory of our own.
        writable: Whether it may be changed.

    Raises:
        MissingToolError: e2fsprogs is not installed.
        ImageError: It is no such file system, or is damaged.
    """

    def __init__(self, device: str, scratch: Path, *, writable: bool = False) -> None:
        self._debugfs = Debugfs(device, scratch, writable=writable)
        self._tree = Tree(self._debugfs)
        self._copies = Copies(self._debugfs, self._tree, scratch)
        self._changes = Changes(self._debugfs, self._tree, scratch) if writable else None

    @property
    def changed(self) -> Mapping[str, OfflineNode | None]:
        """What was written, by path; ``None`` was removed."""
        return self._changes.done if self._changes else {}

    def close(self) -> None:
        """Write out what was changed, and let go of the file system."""
        self._debugfs.close()

    def find(self, path: str) -> OfflineEntry | None:
        """See `OfflineFS.find`."""
        found = self._tree.find(path)
        return None if found is None else _entry(found)

    def list_directory(self, path: str) -> tuple[OfflineEntry, ...]:
        """See `OfflineFS.list_directory`."""
        entries = self._tree.list_entries(self._tree.get_directory(path))
        return tuple(_entry(entry) for _, entry in sorted(entries.items()))

    def read_file(self, path: str) -> bytes:
        """See `OfflineFS.read_file`."""
        return self._copies.read(self._tree.get_file(path))

    def extract(self, paths: Iterable[tuple[str, Path]]) -> Extraction:
        """See `OfflineFS.extract`."""
        collected, missing, skipped = [], [], []
        for path, place in paths:
            found = self._tree.find(path)
            if found is None:
                missing.append(path)
            else:
                skipped += self._copies.land(found, place, path)
                collected.append(path)
        return Extraction(
            collected=tuple(collected), missing=tuple(missing), skipped=tuple(skipped)
        )

    def write_files(self, nodes: Mapping[str, OfflineNode]) -> None:
        """See `OfflineFS.write_files`."""
        self._get_changes().write(nodes)

    def remove(self, path: str) -> None:
        """See `OfflineFS.remove`."""
        self._get_changes().remove(path)

    def check_changed(self, nodes: Mapping[str, OfflineNode | None]) -> None:
        """Read back what was written: debugfs may have failed without a word.

        Raises:
            ImageError: Something is not there, or not as it was written.
        """
        for path, node in nodes.items():
            if not self._copies.is_as_written(self._tree.find(path, follow=False), node):
                raise ImageError(
                    f"{path!r} is not on the disk as it was written",
                    hint="its file system may be full or damaged: look at it with e2fsck -fn",
                )

    def _get_changes(self) -> Changes:
        if self._changes is None:
            raise ImageError("the disk was opened to be read only")
        return self._changes


def _entry(inode: Inode) -> OfflineEntry:
    kind = _KINDS.get(stat.S_IFMT(inode.mode), EntryKind.OTHER)
    return OfflineEntry(
        name=inode.name,
        kind=kind,
        mode=stat.S_IMODE(inode.mode),
        uid=inode.uid,
        gid=inode.gid,
        size=inode.size if kind in {EntryKind.FILE, EntryKind.LINK} else 0,
    )
