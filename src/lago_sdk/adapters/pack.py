"""Files and directories of the host as one tar stream, made while it is read.

The format is GNU's (``tar --format=gnu``), which busybox and bsdtar read as well: names of any
length and in any bytes, files of any size. Sparse files go as GNU's "PAX 1.0" sparse members
(GNU tar manual, "Storing Sparse Files"), which GNU and BSD tar read and busybox does not.
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError
from lago_sdk.ports.extraction import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

CHUNK = 1 << 20
"""Bytes that are read at once."""
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_USTAR_LIMIT = 0o77777777777
"""Largest size that a header of POSIX.1-1988 can tell."""


@attrs.frozen(kw_only=True)
class Item:
    """Something to pack."""

    path: str
    name: str
    """What it is called in the archive."""
    info: os.stat_result
    link: str = ""
    """Where a symbolic link leads, or the name of the same file that was packed before."""


class Packer:
    """A tar archive of files and directories, to be read like a file.

    Args:
        sources: What to pack, and what it is called in the archive. Links among them are
            followed, links below them are kept.
        follow: Pack what links lead to in their place.
        keeps_holes: Send sparse files as such; else their holes are sent as zeros.
        opens_directories: Let their owner write into directories, for an unpacker that does not
            set modes and times when all is there; `pack_directories` then makes them right.
        on_progress: Called with the bytes of content that were read so far, and all there are.

    Attributes:
        total: Bytes of content, holes that are not sent left out.
        skipped: What cannot be packed: devices, pipes and sockets.

    Raises:
        LagoError: Something cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, str]],
        *,
        follow: bool = False,
        keeps_holes: bool = True,
        opens_directories: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self.skipped: list[Skipped] = []
        self._follow = follow
        self._keeps_holes = keeps_holes
        self._opens_directories = opens_directories
        self._on_progress = on_progress
        self._seen: dict[tuple[int, int], str] = {}
        """First names of files that have several, by device and inode."""
        with _reading():
            self._items = [item for path, name in sources for item in self._walk(path, name)]
        self.total = sum(_count_content(item, keeps_holes=keeps_holes) for item in self._items)
        self.done = 0
        self._chunks = self._pack()
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes of the archive; none at its end.

        Raises:
            LagoError: A file cannot be read, or has become shorter.
        """
        parts = [self._rest]
        length = len(self._rest)
        with _reading():
            while length < size and (chunk := next(self._chunks, b"")):
                parts.append(chunk)
                length += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def pack_directories(self) -> bytes:
        """Return an archive of all directories and nothing else, the deepest first."""
        items = [item for item in reversed(self._items) if stat.S_ISDIR(item.info.st_mode)]
        return b"".join(_render_header(item, 0) for item in items) + _END if items else b""

    def list_items(self) -> Sequence[Item]:
        """Return what there is to pack, in its order."""
        return tuple(self._items)

    def read_content(self, item: Item) -> Iterator[bytes]:
        """Yield the content of a file, holes as zeros.

        Raises:
            LagoError: It cannot be read, or has become shorter.
        """
        with _reading(), open(item.path, "rb", buffering=0) as file:  # noqa: PTH123 - a str
            yield from self._read_area(file.fileno(), 0, item.info.st_size, item.path)

    def _walk(self, path: str, name: str) -> Iterator[Item]:
        """List what is at *path* and below, directories before what is in them."""
        yield from self._list(path, name, os.stat(path), frozenset())  # noqa: PTH116 - a str

    def _list(
        self, path: str, name: str, info: os.stat_result, above: frozenset[tuple[int, int]]
    ) -> Iterator[Item]:
        if stat.S_ISDIR(info.st_mode):
            here = (info.st_dev, info.st_ino)
            if here in above:
                raise LagoError(f"{path!r} is a link to a directory that it lies in")
            yield Item(path=path, name=name, info=info)
            with os.scandir(path) as entries:
                found = sorted((entry.name, entry) for entry in entries)
            for child, entry in found:
                entry_info = entry.stat(follow_symlinks=self._follow)
                yield from self._list(entry.path, f"{name}/{child}", entry_info, above | {here})
        elif stat.S_ISLNK(info.st_mode):
            yield Item(path=path, name=name, info=info, link=os.readlink(path))  # noqa: PTH115
        elif stat.S_ISREG(info.st_mode):
            yield Item(path=path, name=name, info=info, link=self._find_first_name(name, info))
        else:
            self.skipped.append(Skipped(path=path, reason="a device, pipe or socket"))

    def _find_first_name(self, name: str, info: os.stat_result) -> str:
        """Return the name under which the same file was packed before; empty for the first."""
        if info.st_nlink < 2:
            return ""
        key = (info.st_dev, info.st_ino)
        first = self._seen.setdefault(key, name)
        return "" if first == name else first

    def _pack(self) -> Iterator[bytes]:
        for item in self._items:
            if stat.S_ISREG(item.info.st_mode) and not item.link:
                yield from self._pack_file(item)
            elif stat.S_ISDIR(item.info.st_mode) and self._opens_directories:
                yield _render_header(item, 0, extra_mode=stat.S_IRWXU)
            else:
                yield _render_header(item, 0)
        yield _END

    def _pack_file(self, item: Item) -> Iterator[bytes]:
        size = item.info.st_size
        areas = [(0, size)] if size else []
        with open(item.path, "rb", buffering=0) as file:  # noqa: PTH123 - a str
            if self._keeps_holes and _is_sparse(item.info):
                areas = _list_areas(file.fileno(), size)
                sparse_map = _render_map(areas, size)
                length = len(sparse_map) + sum(length for _, length in areas)
                yield _render_sparse_header(item, length)
                yield sparse_map
            else:
                length = size
                yield _render_header(item, size)
            for begin, count in areas:
                yield from self._read_area(file.fileno(), begin, count, item.path)
        yield bytes(-length % _BLOCK)

    def _read_area(self, fd: int, begin: int, count: int, path: str) -> Iterator[bytes]:
        end = begin + count
        while begin < end:
            data = os.pread(fd, min(CHUNK, end - begin), begin)
            if not data:
                raise LagoError(f"{path!r} became shorter while it was copied", hint="try again")
            begin += len(data)
            self.done += len(data)
            if self._on_progress is not None:
                self._on_progress(self.done, self.total)
            yield data


class _reading:  # noqa: N801 - used as a function
    """Turns what the host's file system says into our error."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            path = os.fsdecode(error.filename) if error.filename is not None else "a file"
            if isinstance(error, FileNotFoundError):
                raise LagoError(f"there is no {path!r} on this machine") from error
            message = f"cannot read {path!r}: {error.strerror or error}"
            raise LagoError(message, hint="may you read it?") from error


def _render_header(item: Item, size: int, *, extra_mode: int = 0) -> bytes:
    info = _make_info(item, size)
    info.mode |= extra_mode
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _make_info(item: Item, size: int) -> tarfile.TarInfo:
    """Return the member without its owner: that is the guest's business."""
    info = tarfile.TarInfo(item.name)
    mode = item.info.st_mode
    info.mode = stat.S_IMODE(mode)
    info.mtime = max(int(item.info.st_mtime), 0)
    info.size = size
    if stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, item.link
    elif item.link:
        info.type, info.linkname = tarfile.LNKTYPE, item.link
    return info


def _render_sparse_header(item: Item, size: int) -> bytes:
    info = _make_info(item, size)
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": os.fsencode(item.name),
        b"GNU.sparse.realsize": str(item.info.st_size).encode(),
    }
    if size > _USTAR_LIMIT:
        records[b"size"] = str(size).encode()
    body = b"".join(_render_record(key, value) for key, value in records.items())
    extended = tarfile.TarInfo("././@PaxHeader")
    extended.type, extended.size = tarfile.XHDTYPE, len(body)
    head = extended.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    # Whoever does not know the records unpacks a file under the name of the header itself.
    info.name = "GNUSparseFile.0/file"
    info.size = size if size <= _USTAR_LIMIT else 0
    member = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    return head + body + bytes(-len(body) % _BLOCK) + member


def _render_record(key: bytes, value: bytes) -> bytes:
    """Return a record of an extended header (POSIX.1-2001, pax): its length counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def _is_sparse(info: os.stat_result) -> bool:
    return info.st_blocks * _BLOCK < info.st_size


def _list_areas(fd: int, size: int) -> list[tuple[int, int]]:
    """Return the parts of a file that are no holes: where they begin, and their lengths."""
    areas: list[tuple[int, int]] = []
    end = 0
    while end < size:
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole follows
            break
        end = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
        if begin < end:
            areas.append((begin, end - begin))
    return areas


def _render_map(areas: Iterable[tuple[int, int]], size: int) -> bytes:
    """Return the map of a sparse file, with an empty area that marks its end."""
    listed = [*areas, (size, 0)]
    numbers = [len(listed), *(number for area in listed for number in area)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % _BLOCK)


def _count_content(item: Item, *, keeps_holes: bool) -> int:
    if not stat.S_ISREG(item.info.st_mode) or item.link:
        return 0
    size = item.info.st_size
    return (
        min(size, item.info.st_blocks * _BLOCK) if keeps_holes and _is_sparse(item.info) else size
    )
