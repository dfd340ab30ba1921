"""Images compressed to files, and files decompressed to images; implements ``ImagePacker``."""

from __future__ import annotations

import errno
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import ImageError, TemplateError, ToolError
from lago_sdk.ports import Compression, PackedImage
from lago_sdk.templates import decompress
from lago_sdk.templates.digests import Algorithm, Hashes, hash_along
from lago_sdk.templates.sparse import write_stream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from lago_sdk.ports import Tell

_CHUNK = 1 << 20
_XZ_BLOCK = "16MiB"
"""What Lago took: blocks can be decompressed beside each other."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


def compress_argv(compression: Compression, *, threads: int) -> list[str]:
    """Return the command that compresses its standard input to its standard output.

    Args:
        compression: How.
        threads: How many threads it takes; 0: as many as there are processors.
    """
    argv = [compression.value, "-q", f"-T{threads}", "-c"]
    return [*argv, f"--block-size={_XZ_BLOCK}"] if compression is Compression.XZ else argv


def make_digest(path: Path, *, progress: Tell) -> str:
    """Return the digest of a file as ``sha256:<hex>``.

    Raises:
        ImageError: It cannot be read.
    """
    hashes = Hashes({Algorithm.SHA256})
    with _translated(f"cannot read {path}"):
        for piece in _read(path, progress):
            hashes.update(piece)
    return _text(hashes)


def pack(
    source: Path, path: Path, compression: Compression, *, threads: int, progress: Tell
) -> PackedImage:
    """Compress *source* to *path*, and make the digests of both on the way.

    Args:
        source: The image; it stays.
        path: The new file.
        compression: How.
        threads: How many threads may compress.
        progress: Told the bytes that were read.

    Raises:
        ImageError: *source* cannot be read or *path* not written; nothing is left then.
        MissingToolError: The program is not installed.
    """
    content, packed = Hashes({Algorithm.SHA256}), Hashes({Algorithm.SHA256})
    chunks = hash_along(_read(source, progress), content)
    argv = compress_argv(compression, threads=threads)
    try:
        with (
            _translated(f"cannot compress {source}"),
            closing(decompress.filter_through(argv, chunks)) as pieces,
            path.open("wb") as file,
        ):
            for piece in pieces:
                packed.update(piece)
                file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return PackedImage(content_digest=_text(content), digest=_text(packed))


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, as its first bytes tell.

    Raises:
        ImageError: It cannot be read.
    """
    with _translated(f"cannot read {path}"), path.open("rb") as file:
        return decompress.find_compression(file.read(8)) is not decompress.Compression.NONE


def read_head(path: Path, size: int) -> bytes:
    """Return the first bytes of an image, of what is in it where it is compressed.

    Args:
        path: The image.
        size: How many bytes; a shorter image gives fewer.

    Raises:
        ImageError: It cannot be read, or is damaged.
    """
    head = b""
    with _translated(f"cannot read {path}"), closing(_open(path, _ignore)) as pieces:
        for piece in pieces:
            head += piece
            if len(head) >= size:
                break
    return head[:size]


def unpack(source: Path, path: Path, *, progress: Tell) -> None:
    """Decompress *source* to *path*; runs of zeros take no room.

    Args:
        source: A compressed file; it stays.
        path: The new image.
        progress: Told the bytes of *source* that were read.

    Raises:
        ImageError: *source* is damaged, or there is no room for *path*; nothing is left then.
    """
    try:
        with _translated(f"cannot decompress {source}"), closing(_open(source, progress)) as pieces:
            write_stream(path, pieces)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _open(path: Path, progress: Tell) -> Generator[bytes, None, None]:
    head, chunks = decompress.peek(_read(path, progress))
    with closing(decompress.run_ahead(_expand(head, chunks))) as pieces:
        yield from pieces


def _expand(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    return decompress.decompress(decompress.find_compression(head), chunks)


def _read(path: Path, progress: Tell) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        total, done = path.stat().st_size, 0
        while chunk := file.read(_CHUNK):
            done += len(chunk)
            progress(done, total)
            yield chunk


def _text(hashes: Hashes) -> str:
    return str(hashes.get(Algorithm.SHA256))


def _ignore(done: int, total: int | None) -> None:
    pass


@contextmanager
def _translated(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "the file system is full: free some space" if error.errno in _FULL else None
        raise ImageError(f"{message}: {error.strerror or error}", hint=hint) from error
    except (TemplateError, ToolError) as error:
        raise ImageError(f"{message}: {error.message}", hint=error.hint) from error
