"""Unpacking a tar archive that a guest sends, while it comes.

The archive's names are those of the guest, from its root; see `Landing` for what becomes of the
hostile ones. Formats are those that :mod:`tarfile` reads: POSIX, GNU, old.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from lago_sdk.adapters.landing import CHUNK, Landing
from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import IO

    from lago_sdk.adapters.landing import Parts


def unpack(chunks: Iterable[bytes], landings: Mapping[Parts, Landing]) -> None:
    """Unpack an archive.

    Args:
        chunks: The archive, in pieces of any size.
        landings: Where files and directories land, by their names in the archive, from the root
            downwards; none lies below another. What belongs to none of them is left out.

    Raises:
        LagoError: The archive is damaged or breaks off, or cannot be written here.
    """
    stream = _Stream(chunks)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
            for member in archive:
                _land(member, archive, landings)
    except (tarfile.TarError, EOFError) as error:
        if stream.is_empty and isinstance(error, tarfile.ReadError):
            return
        raise LagoError(f"the archive that the guest sent is damaged: {error}") from error
    finally:
        for landing in landings.values():
            landing.finish()
    stream.drain()


def _land(
    member: tarfile.TarInfo, archive: tarfile.TarFile, landings: Mapping[Parts, Landing]
) -> None:
    found = _find(member.name, landings)
    if found is None:
        return
    landing, parts = found
    if member.isdir():
        landing.add_directory(parts, member.mode, mtime=member.mtime)
    elif member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        landing.add_file(parts, _read(content), mode=member.mode, mtime=member.mtime)
    elif member.issym():
        landing.add_link(parts, member.linkname)
    elif member.islnk():
        other = _find(member.linkname, landings)
        if other is None:
            landing.skip(parts, "a hard link to something else")
        else:
            landing.add_hard_link(parts, *other)
    else:
        landing.skip(parts, "a device, pipe or socket")


def split(name: str) -> Parts:
    """Return the names along a path, without empty ones and ``.``."""
    return tuple(part for part in name.split("/") if part not in {"", "."})


def _find(name: str, landings: Mapping[Parts, Landing]) -> tuple[Landing, Parts] | None:
    """Return where the member *name* lands, and as what."""
    parts = split(name)
    for length in range(len(parts) + 1):
        landing = landings.get(parts[:length])
        if landing is not None:
            return landing, parts[length:]
    return None


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class _Stream(io.RawIOBase):
    """Chunks as a file that can be read from beginning to end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.is_empty = True
        """Whether nothing has come so far."""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
            self.is_empty = self.is_empty and not chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def drain(self) -> None:
        """Read what comes after the end of the archive: the sender wants to be rid of it."""
        for _ in self._chunks:
            pass
