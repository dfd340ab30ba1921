"""Writing into a guest's file system by debugfs."""

from __future__ import annotations

import posixpath
import stat
from typing import TYPE_CHECKING

from lago_sdk.adapters.offline.debugfs import quote
from lago_sdk.adapters.unpack import split
from lago_sdk.errors import ImageError
from lago_sdk.ports.offline import OfflineDirectory, OfflineFile, OfflineLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lago_sdk.adapters.offline.debugfs import Debugfs, Inode
    from lago_sdk.adapters.offline.paths import Tree
    from lago_sdk.ports.offline import OfflineNode

_SOURCE = "written"


class Changes:
    """Changes to a file system that is open for writing.

    Args:
        debugfs: Makes them; it runs in *scratch*.
        tree: Finds what is there.
        scratch: A directory of our own.

    Attributes:
        done: What was written, by path; ``None`` was removed.
    """

    def __init__(self, debugfs: Debugfs, tree: Tree, scratch: Path) -> None:
        self._debugfs = debugfs
        self._tree = tree
        self._scratch = scratch
        self.done: dict[str, OfflineNode | None] = {}

    def write(self, nodes: Mapping[str, OfflineNode]) -> None:
        """Write *nodes* by path, in order.

        Raises:
            ImageError: One of them cannot be written; those before it are.
        """
        for path, node in nodes.items():
            parent, name = self._prepare(path)
            there = self._tree.list_entries(parent).get(name)
            if there is not None and stat.S_ISDIR(there.mode):
                if not isinstance(node, OfflineDirectory):
                    raise ImageError(f"there is a directory at {path!r} of the disk")
                self._set_owner(there.number, stat.S_IFDIR, node)
            else:
                if there is not None:
                    self._debugfs.unlink(parent.number, name)
                self._create(parent.number, name, node)
            self._tree.forget(parent.number)
            self._note(path, node)

    def remove(self, path: str) -> None:
        """Remove what is at *path*, a link itself and not what it leads to.

        Raises:
            ImageError: It cannot be removed.
        """
        trail = self._tree.walk(path, follow=False)
        if trail is None:
            return
        if len(trail) == 1:
            raise ImageError("the root directory of a disk cannot be removed")
        found = list(self._list_below(trail[-2], trail[-1]))
        for _, inode in found:
            quote(inode.name)  # before anything is gone
        for parent, inode in found:
            is_directory = stat.S_ISDIR(inode.mode)
            self._debugfs.unlink(parent.number, inode.name, is_directory=is_directory)
        self._tree.forget()
        self._note(path, None)

    def _note(self, path: str, node: OfflineNode | None) -> None:
        """Remember what is at *path* now; what was noted below it is no more."""
        self.done.pop(path, None)
        if not isinstance(node, OfflineDirectory):
            above = posixpath.normpath(path) + "/"
            for other in tuple(self.done):
                if posixpath.normpath(other).startswith(above):
                    del self.done[other]
        self.done[path] = node

    def _list_below(self, parent: Inode, found: Inode) -> Iterator[tuple[Inode, Inode]]:
        """Yield what is below an entry and the entry itself, each with its directory."""
        if stat.S_ISDIR(found.mode):
            for entry in self._tree.list_entries(found).values():
                yield from self._list_below(found, entry)
        yield parent, found

    def _prepare(self, path: str) -> tuple[Inode, str]:
        """Return the directory of a path, made where it is absent, and the last name."""
        names = split(path)
        if not names or ".." in names:
            raise ImageError(f"{path!r} is no path to write to")
        quote(names[-1])
        for length in range(1, len(names)):
            above = "/" + "/".join(names[:length])
            found = self._tree.find(above)
            if found is None:
                if self._tree.find(above, follow=False) is not None:
                    raise ImageError(f"the link {above!r} of the disk leads nowhere")
                directory = self._tree.get_directory("/" + "/".join(names[: length - 1]))
                self._create(directory.number, names[length - 1], OfflineDirectory())
                self._tree.forget(directory.number)
        return self._tree.get_directory("/" + "/".join(names[:-1])), names[-1]

    def _create(self, parent: int, name: str, node: OfflineNode) -> None:
        """Make what is not there."""
        if isinstance(node, OfflineLink):
            self._debugfs.make_link(parent, name, node.target)
        elif isinstance(node, OfflineFile):
            source = self._scratch / _SOURCE
            source.write_bytes(node.data)
            inode = self._debugfs.write(parent, name, _SOURCE)
            self._set_owner(inode, stat.S_IFREG, node)
        else:
            inode = self._debugfs.make_directory(parent, name)
            self._set_owner(inode, stat.S_IFDIR, node)

    def _set_owner(self, inode: int, kind: int, node: OfflineFile | OfflineDirectory) -> None:
        # debugfs takes both from the host's file, or from nowhere.
        self._debugfs.set_field(inode, "mode", f"0{kind | node.mode:o}")
        self._debugfs.set_field(inode, "uid", str(node.uid))
        self._debugfs.set_field(inode, "gid", str(node.gid))
