"""Where files that a guest sends come to lie: in one place of the host, and nowhere else.

A guest chooses names, links and modes of what it sends, and may be hostile. So names are taken
apart and checked, nothing is written through a symbolic link (those are made last, when all else
is there), links lead nowhere out of the place, and devices, pipes and sockets are not made.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.ports.extraction import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Parts = tuple[str, ...]
"""Names from the landing place downwards; none is the place itself."""

CHUNK = 1 << 20
"""Bytes that are copied at once."""
_ZEROS = bytes(CHUNK)
_UNFIT = frozenset(
    {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.ENOTEMPTY}
    | {errno.EINVAL, errno.EMLINK, errno.ELOOP}
)
"""What the host's file system says of a single file, and not of the whole undertaking."""


class Landing:
    """One path of a guest, as it arrives.

    A file that is at the place already is replaced, a directory is added to.

    Args:
        place: What the path is called here; its directory is made where it is absent.
        origin: What the path is called in the guest, for messages.
        exact: Keep all permission bits, and the times of directories. Else nobody but the owner
            may write, and the owner always. Set-user-ID and its like are dropped in any case.
    """

    def __init__(self, place: Path, origin: str, *, exact: bool = False) -> None:
        self._place = place
        self._exact = exact
        self._origin = origin.rstrip("/")
        self._links: dict[Parts, str] = {}
        self._directories: dict[Parts, tuple[int, float | None]] = {}
        self._made: set[Parts] = set()
        """Directories that are there and are no links."""
        self._landed: set[Parts] = set()
        """Files that have come."""
        self.skipped: list[Skipped] = []
        self.has_arrived = False
        """Whether anything of it came."""

    def add_directory(self, parts: Parts, mode: int = 0o755, *, mtime: float | None = None) -> None:
        """Make a directory; its permission bits (and its time, if exact) are set by `finish`."""
        with self._attempt(parts):
            self._locate(parts)
            self._make_directory(parts)
            self._directories[parts] = mode, mtime

    def add_file(
        self, parts: Parts, chunks: Iterable[bytes], *, mode: int, mtime: float | None = None
    ) -> None:
        """Write a file; blocks of zeros become holes.

        All of *chunks* is taken whatever becomes of the file.
        """
        rest = iter(chunks)
        with self._attempt(parts):
            path = self._prepare(parts)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
                for chunk in rest:
                    if chunk == _ZEROS[: len(chunk)]:
                        file.seek(len(chunk), os.SEEK_CUR)
                    else:
                        file.write(chunk)
                file.truncate(file.tell())
            self._settle(parts, mode, mtime)
        for _ in rest:
            pass

    def take_file(self, parts: Parts, source: Path, *, mode: int, mtime: float) -> None:
        """Move a file of the host here, from the same file system."""
        with self._attempt(parts):
            path = self._prepare(parts)
            source.replace(path)
            self._settle(parts, mode, mtime)

    def add_hard_link(self, parts: Parts, landing: Landing, other: Parts) -> None:
        """Give a file that has landed already, here or elsewhere, a second name."""
        with self._attempt(parts):
            source = landing.get_path(other)
            if not landing.has(other):
                self.skip(parts, "a hard link to something that has not come")
                return
            path = self._prepare(parts)
            os.link(source, path, follow_symlinks=False)

    def add_link(self, parts: Parts, target: str) -> None:
        """Note a symbolic link; `finish` makes it where it leads nowhere out of here."""
        self.has_arrived = True
        if not parts:
            self.skip(parts, "a symbolic link")
        elif not _stays_inside(parts, target):
            self.skip(parts, f"a link that leads out of it, to {target!r}")
        else:
            self._links[parts] = target

    def skip(self, parts: Parts, reason: str) -> None:
        """Note that something was left in the guest."""
        self.skipped.append(Skipped(path="/".join((self._origin, *parts)) or "/", reason=reason))

    def has(self, parts: Parts) -> bool:
        """Whether a file has come that is called so."""
        return parts in self._landed

    def get_path(self, parts: Parts) -> Path:
        """Return where *parts* lie.

        Raises:
            OSError: One of them cannot be a name.
        """
        return self._locate(parts)

    def finish(self) -> None:
        """Make the links, and give directories their permission bits."""
        for parts, target in self._links.items():
            with self._attempt(parts):
                path = self._prepare(parts)
                path.symlink_to(target)
        for parts, (mode, mtime) in sorted(self._directories.items(), reverse=True):
            path = self._place.joinpath(*parts)
            if path.is_dir() and not path.is_symlink():
                path.chmod(mode & 0o777 if self._exact else mode & 0o755 | 0o700)
                if self._exact and mtime is not None:
                    with self._attempt(parts):
                        os.utime(path, (mtime, mtime))

    def _attempt(self, parts: Parts) -> _Attempt:
        return _Attempt(self, parts)

    def _locate(self, parts: Parts) -> Path:
        for name in parts:
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                raise OSError(errno.EINVAL, f"the name {name!r} leads somewhere else")
        return self._place.joinpath(*parts)

    def _make_directory(self, parts: Parts) -> None:
        """Make a directory and what is missing above it; below the place none may be a link."""
        for length in range(len(parts) + 1):
            upper = parts[:length]
            if upper in self._made:
                continue
            path = self._place.joinpath(*upper)
            if upper and path.is_symlink():
                path.unlink()
            path.mkdir(parents=not upper, exist_ok=True)
            self._made.add(upper)

    def _prepare(self, parts: Parts) -> Path:
        """Return the path of a new file, with its directory, and nothing at it."""
        path = self._locate(parts)
        if parts:
            self._make_directory(parts[:-1])
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        return path

    def _settle(self, parts: Parts, mode: int, mtime: float | None) -> None:
        path = self._place.joinpath(*parts)
        path.chmod(mode & 0o777 if self._exact else mode & 0o755 | 0o600)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        self._landed.add(parts)


class _Attempt:
    """Turns what the host's file system refuses of one file into a note."""

    def __init__(self, landing: Landing, parts: Parts) -> None:
        self._landing = landing
        self._parts = parts

    def __enter__(self) -> None:
        self._landing.has_arrived = True

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OverflowError):
            self._landing.skip(self._parts, "its time makes no sense")
            return True
        if not isinstance(error, OSError):
            return False
        reason = error.strerror or str(error)
        if error.errno in _UNFIT:
            self._landing.skip(self._parts, f"cannot be written here: {reason}")
            return True
        raise landing_error(self._landing.get_path(()), error) from error


def landing_error(path: Path, error: OSError) -> LagoError:
    """Return our error for what kept us from writing to *path*."""
    hints = {errno.ENOSPC: "free some space", errno.EDQUOT: "your quota is used up"}
    return LagoError(
        f"cannot write to {str(path)!r}: {error.strerror or error}",
        hint=hints.get(error.errno or 0, "take another directory"),
    )


def _stays_inside(parts: Parts, target: str) -> bool:
    """Whether a link at *parts* leads to somewhere in the same landing place.

    Going up is allowed at the beginning only, and no further than to the place itself. As every
    link here keeps to that, and stands in a directory that is none, no chain of them leads out.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    names = [name for name in target.split("/") if name not in {"", "."}]
    ups = 0
    while ups < len(names) and names[ups] == "..":
        ups += 1
    return ups < len(parts) and ".." not in names[ups:]
