"""Writing images so that runs of zeros take no room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)


def write_stream(path: Path, pieces: Iterable[bytes]) -> None:
    """Write *pieces* as the file *path*, which is replaced; zeros are left out.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        offset = 0
        for piece in pieces:
            write_sparse(descriptor, piece, offset)
            offset += len(piece)
        os.ftruncate(descriptor, offset)
    finally:
        os.close(descriptor)


def write_sparse(descriptor: int, data: bytes, offset: int) -> None:
    """Write *data* at *offset* of a file that has nothing there yet; zeros are left out.

    A run of zeros at the end does not lengthen the file: ``os.ftruncate`` it when all is
    written.
    """
    begin: int | None = None
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        if block == _ZEROS[: len(block)]:
            if begin is not None:
                _write(descriptor, data[begin:start], offset + begin)
                begin = None
        elif begin is None:
            begin = start
    if begin is not None:
        _write(descriptor, data[begin:], offset + begin)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
