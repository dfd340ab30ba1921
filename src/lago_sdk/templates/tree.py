"""A directory tree to be written into an image: plain data, with no trace of the host's files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TypeAlias

import attrs


@attrs.frozen
class File:
    """A regular file."""

    source: Path | bytes
    """Where its content comes from, or the content itself."""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    capability: bytes | None = None
    """Value of its attribute ``security.capability``."""

    def read(self) -> bytes:
        """Return the content."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


@attrs.frozen
class Link:
    """A symbolic link."""

    target: str


@attrs.frozen
class Directory:
    """A directory."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


Entry: TypeAlias = File | Link | Directory


class Tree:
    """Files, links and directories by path; directories above an entry are made as needed."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, path: str, entry: Entry) -> None:
        """Put *entry* at *path*, which is relative to the root: ``etc/hostname``."""
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                self._entries.setdefault(str(parent), Directory())
        self._entries[path] = entry

    def list(self) -> tuple[tuple[str, Entry], ...]:
        """Return all entries, sorted; a directory comes before what is in it."""
        return tuple(sorted(self._entries.items(), key=lambda item: item[0].split("/")))

    def remove(self, path: str) -> None:
        """Take *path* out, with all that is below it."""
        below = f"{path}/"
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if name != path and not name.startswith(below)
        }
