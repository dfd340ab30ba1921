"""Decompression of streams in bounded memory; the kind is told by the first bytes."""

from __future__ import annotations

import enum
import itertools
import queue
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Protocol, TypeVar

from lago_sdk.errors import TemplateError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

_Item = TypeVar("_Item")
_OUTPUT = 1 << 18
"""Bytes of a piece. Larger ones bring no speed, and a few are held: a file by ``xz -9`` needs
64 MiB for its dictionary alone."""
_HEAD = 6
_MEMORY = 130 << 20
"""Bytes that an xz stream may ask for, twice those of ``xz -9``; zstd keeps the like by itself."""
_DEPTH = 4
"""Pieces that one thread may be ahead of the next."""


class Compression(enum.Enum):
    """How a file is compressed; the value is the end of such a file's name."""

    NONE = ""
    XZ = ".xz"
    ZSTD = ".zst"
    GZIP = ".gz"


_MAGIC = {
    b"\xfd7zXZ\0": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
    b"\x1f\x8b": Compression.GZIP,
}


def find_compression(head: bytes) -> Compression:
    """Tell by its first six bytes how a file is compressed."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return Compression.NONE


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first six bytes (fewer of a shorter stream), and the whole stream again."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    return head[:_HEAD], itertools.chain([head], chunks)


def decompress(kind: Compression, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what *chunks* hold, in pieces of at most 256 KiB or as they came.

    Raises:
        TemplateError: The stream is damaged or ends too early.
        MissingToolError: The program zstd is needed and not installed.
    """
    match kind:
        case Compression.NONE:
            return chunks
        case Compression.XZ:
            return _expand(_XzMember, chunks)
        case Compression.GZIP:
            return _expand(_GzipMember, chunks)
        case Compression.ZSTD:
            return _expand_zstd(chunks)


class _Member(Protocol):
    """A decompressor of one of the streams that a file is made of."""

    @property
    def eof(self) -> bool:
        """Whether this stream has ended."""

    @property
    def unused_data(self) -> bytes:
        """What came after its end."""

    def expand(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes of *data*."""


class _XzMember:
    def __init__(self) -> None:
        import lzma

        self._inner = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data.lstrip(b"\0")  # padding between streams

    def expand(self, data: bytes) -> Iterator[bytes]:
        import lzma

        try:
            yield self._inner.decompress(data, _OUTPUT)
            while not self._inner.eof and not self._inner.needs_input:
                yield self._inner.decompress(b"", _OUTPUT)
        except lzma.LZMAError as error:
            if "limit" in str(error):
                message = f"the xz data asks for more than {_MEMORY >> 20} MiB of memory"
                raise TemplateError(message, hint="compress it anew, with xz -9 at most") from error
            raise TemplateError(f"the xz data is damaged: {error}") from error


class _GzipMember:
    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data.lstrip(b"\0")

    def expand(self, data: bytes) -> Iterator[bytes]:
        import zlib

        try:
            while data and not self._inner.eof:
                yield self._inner.decompress(data, _OUTPUT)
                data = self._inner.unconsumed_tail
        except zlib.error as error:
            raise TemplateError(f"the gzip data is damaged: {error}") from error


def _expand(make: Callable[[], _Member], chunks: Iterator[bytes]) -> Iterator[bytes]:
    member: _Member | None = None
    for chunk in chunks:
        data = chunk
        while data:
            if member is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = make()
            yield from filter(None, member.expand(data))
            data = member.unused_data if member.eof else b""
            member = None if member.eof else member
    if member is not None:
        raise TemplateError("the compressed data ends too early")


def _expand_zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from filter_through(["zstd", "-dcq", "--no-progress"], chunks)
    except ToolError as error:
        raise TemplateError(f"the compressed data is damaged: {error.output}") from error


def filter_through(argv: Sequence[str], chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Yield what a program makes of *chunks*, in pieces of at most 256 KiB.

    Raises:
        MissingToolError: The program is not installed.
        ToolError: It failed.
    """
    from lago_sdk.adapters.process import Filter

    errors: list[BaseException] = []

    def feed() -> None:
        try:
            program.feed(chunks)
        except BaseException as error:  # noqa: BLE001 - raised by the reader below
            errors.append(error)

    program = Filter(argv)
    feeder = threading.Thread(target=feed, name="lago-decompress", daemon=True)
    feeder.start()
    with closing(program):
        while data := program.read(_OUTPUT):
            yield data
        feeder.join()
        if errors:
            raise errors[0]
        program.check()


def run_ahead(items: Iterable[_Item]) -> Generator[_Item, None, None]:
    """Yield *items*, which a thread of its own takes a few pieces ahead.

    What *items* raises is raised here. Close the generator to let the thread go.
    """
    ready: queue.Queue[tuple[_Item] | BaseException | None] = queue.Queue(_DEPTH)
    is_closed = threading.Event()

    def put(piece: tuple[_Item] | BaseException | None) -> bool:
        while not is_closed.is_set():
            try:
                ready.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item,)):
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised by the reader
            put(error)

    threading.Thread(target=work, name="lago-ahead", daemon=True).start()
    try:
        while (piece := ready.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece[0]
    finally:
        is_closed.set()
