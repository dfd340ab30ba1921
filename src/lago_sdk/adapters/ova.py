"""Archives of appliances: tar files of strangers, looked through before anything is unpacked.

Nothing is unpacked by the names in the archive: who asks for a member says where it goes.
"""

from __future__ import annotations

import errno
import io
import shutil
import tarfile
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lago_sdk.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from lago_sdk.ports import Tell

_MAX_MEMBERS = 4096
_MAX_TEXT = 16 << 20
"""Bytes of the largest member that is read into memory; descriptors have kilobytes."""
_MAX_GROWTH = 64
"""How much larger than the (compressed) archive all that is in it may be."""
_CHUNK = 1 << 20
_USTAR_LIMIT = 0o77777777777
"""Largest size that a header of POSIX.1-1988 can tell."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def list_files(path: Path) -> Mapping[str, int]:
    """Return the files of an archive by name, in their order, with their sizes in bytes.

    Raises:
        ImageError: It is no tar archive, or holds something that no appliance needs: absolute
            names, ``..``, links, devices, the same name twice, or more than it can hold.
    """
    with _opened(path) as archive:
        return {_normalize(name): member.size for name, member in _check(archive, path).items()}


def read_file(path: Path, name: str) -> bytes:
    """Return the content of the small file *name*.

    Raises:
        ImageError: There is none, it is too large, or the archive is damaged.
    """
    with _opened(path) as archive:
        member = _get(archive, path, name)
        if member.size > _MAX_TEXT:
            raise ImageError(f"{name!r} of {path} has {member.size} bytes, too many to be read")
        stream = archive.extractfile(member)
        assert stream is not None, "only files are listed"
        return stream.read()


def extract_file(path: Path, name: str, target: Path) -> None:
    """Unpack the file *name* to *target*, which is replaced where it exists.

    Raises:
        ImageError: There is none, it does not fit, or the archive is damaged.
    """
    with _opened(path) as archive:
        member = _get(archive, path, name)
        free = shutil.disk_usage(target.parent).free
        if member.size > free:
            raise ImageError(
                f"{name!r} of {path} has {member.size} bytes, and {free} are free in "
                f"{target.parent}",
                hint="free some space",
            )
        stream = archive.extractfile(member)
        assert stream is not None, "only files are listed"
        with target.open("wb") as file:
            shutil.copyfileobj(stream, file, _CHUNK)


def create_archive(path: Path, files: Mapping[str, Path], *, progress: Tell) -> None:
    """Make the archive of an appliance: a tar file of POSIX.1-1988 (ustar), as DSP0243 asks.

    Files of 8 GiB and more, which that cannot tell, are written as GNU tar does.

    Args:
        path: The new archive.
        files: What goes into it, by the names in it, in its order.
        progress: Told the bytes that are written.

    Raises:
        ImageError: A file cannot be read, or the archive not be written; nothing is left then.
    """
    try:
        total = sum(source.stat().st_size for source in files.values())
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            done = 0
            for name, source in files.items():
                info = _describe(name, source)
                if info.size > _USTAR_LIMIT:
                    archive.format = tarfile.GNU_FORMAT
                with source.open("rb") as file:
                    archive.addfile(info, _Followed(file, done, total, progress))
                done += info.size
    except (OSError, tarfile.TarError) as error:
        path.unlink(missing_ok=True)
        full = isinstance(error, OSError) and error.errno in _FULL
        raise ImageError(
            f"cannot make the archive {path}: {error}",
            hint="the file system is full: free some space" if full else None,
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _describe(name: str, source: Path) -> tarfile.TarInfo:
    """Return the member for *source*, without anything that is about this machine."""
    status = source.stat()
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o644
    return info


class _Followed(io.RawIOBase):
    """A file whose reader is told how far it has come."""

    def __init__(self, file: BinaryIO, done: int, total: int, progress: Tell) -> None:
        self._file = file
        self._done = done
        self._total = total
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        """Read from the file."""
        data = self._file.read(size)
        self._done += len(data)
        self._progress(self._done, self._total)
        return data


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ImageError(f"{path} is no tar archive, or it is damaged: {error}") from error
    except OSError as error:
        raise ImageError(f"cannot read the archive {path}: {error.strerror or error}") from error


def _get(archive: tarfile.TarFile, path: Path, name: str) -> tarfile.TarInfo:
    for found, member in _check(archive, path).items():
        if _normalize(found) == name:
            return member
    raise ImageError(f"the archive {path} has no file {name!r}")


def _check(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    """Return the files of the archive once nothing in it is suspicious."""
    found: dict[str, tarfile.TarInfo] = {}
    seen: set[str] = set()
    limit = path.stat().st_size * _MAX_GROWTH + _MAX_TEXT
    for count, member in enumerate(archive):
        reason = _find_reason(member, seen)
        limit -= member.size
        if count >= _MAX_MEMBERS or limit < 0:
            reason = "there is more in it than an appliance has"
        if reason is not None:
            raise ImageError(f"will not unpack {path}: {member.name!r}: {reason}")
        seen.add(_normalize(member.name))
        if member.isreg():
            found[member.name] = member
    return found


def _find_reason(member: tarfile.TarInfo, seen: set[str]) -> str | None:
    """Return why *member* must not be in an archive, or ``None``."""
    name = PurePosixPath(member.name)
    if name.is_absolute():
        return "its name is absolute"
    if ".." in name.parts:
        return "its name leads out of the archive"
    if member.issym() or member.islnk():
        return "it is a link"
    if not member.isreg() and not member.isdir():
        return "it is neither a file nor a directory"
    if member.issparse():
        return "it is a sparse member, whose size cannot be trusted"
    if _normalize(member.name) in seen and member.isreg():
        return "it is there twice"
    return None


def _normalize(name: str) -> str:
    return str(PurePosixPath(name))
