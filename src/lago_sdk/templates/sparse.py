"""Writing images so that runs of zeros take no room."""

from __future__ import annotations

import os

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)


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
