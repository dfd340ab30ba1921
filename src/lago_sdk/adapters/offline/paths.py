"""Finding one's way in a guest's file system by debugfs: links followed in the guest's own tree."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from lago_sdk.adapters.offline.debugfs import ROOT_INODE, Inode
from lago_sdk.adapters.unpack import split
from lago_sdk.errors import ImageError

if TYPE_CHECKING:
    from lago_sdk.adapters.offline.debugfs import Debugfs

_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
ROOT = Inode(ROOT_INODE, stat.S_IFDIR | 0o755, 0, 0, "", 0)


class Tree:
    """The directories of a file system, each listed once.

    Args:
        debugfs: How to ask about it.
    """

    def __init__(self, debugfs: Debugfs) -> None:
        self._debugfs = debugfs
        self._known: dict[int, dict[str, Inode]] = {}

    def list_entries(self, directory: Inode) -> dict[str, Inode]:
        """Return the entries of a directory by name.

        Raises:
            ImageError: It is damaged.
        """
        if directory.number not in self._known:
            entries = self._debugfs.list_directory(directory.number)
            self._known[directory.number] = {entry.name: entry for entry in entries}
        return self._known[directory.number]

    def forget(self, directory: int | None = None) -> None:
        """List a directory anew, by its inode, or all of them: something was changed."""
        if directory is None:
            self._known.clear()
        else:
            self._known.pop(directory, None)

    def find(self, path: str, *, follow: bool = True) -> Inode | None:
        """Return what is at an absolute path, or ``None``.

        Args:
            path: The path.
            follow: Whether a link at its end is followed; those on the way always are.

        Raises:
            ImageError: The file system is damaged.
        """
        trail = self.walk(path, follow=follow)
        return None if trail is None else trail[-1]

    def walk(self, path: str, *, follow: bool = True) -> list[Inode] | None:
        """Return the directories from the root to what is at *path*, that included, or ``None``."""
        trail = [ROOT]
        todo = list(reversed(split(path)))
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                trail = trail[:-1] or [ROOT]
                continue
            if not stat.S_ISDIR(trail[-1].mode):
                return None
            found = self.list_entries(trail[-1]).get(name)
            if found is None:
                return None
            if stat.S_ISLNK(found.mode) and (todo or follow):
                links += 1
                if links > _MOST_LINKS:
                    return None
                target = self._debugfs.read_link(found)
                if target.startswith("/"):
                    trail = [ROOT]
                todo += reversed(split(target))
            else:
                trail.append(found)
        return trail

    def get_directory(self, path: str) -> Inode:
        """Return the directory at *path*.

        Raises:
            ImageError: There is none.
        """
        found = self.find(path)
        if found is None or not stat.S_ISDIR(found.mode):
            raise ImageError(f"the disk has no directory {path!r}")
        return found

    def get_file(self, path: str) -> Inode:
        """Return the regular file at *path*.

        Raises:
            ImageError: There is none.
        """
        found = self.find(path)
        if found is None or not stat.S_ISREG(found.mode):
            raise ImageError(f"the disk has no file {path!r}")
        return found
