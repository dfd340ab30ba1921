"""Python's compiled files in an image, where every file has the same date.

Debian compiles Python's modules when they are installed. With ``SOURCE_DATE_EPOCH`` set, as
reproducible builds have it, Python then notes the hash of the source file in place of its date
and size, and has to read and hash each source file at each import.

Source: https://docs.python.org/3/reference/import.html#pyc-invalidation, PEP 552.
"""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from lago_sdk.templates.tree import File

if TYPE_CHECKING:
    from lago_sdk.templates.tree import Tree

_HEADER = struct.Struct("<4sIII")
"""Magic number, flags, then date and size of the source file, or eight bytes of its hash."""
_CHECKED_HASH = 0b11
_BY_DATE = 0


def date_bytecode(tree: Tree, timestamp: int) -> None:
    """Let compiled files that note the hash of their source note its date and size.

    Args:
        tree: The tree of an image.
        timestamp: The date that all its files will have, in seconds since the epoch.
    """
    entries = dict(tree.list())
    for path, entry in entries.items():
        if isinstance(entry, File) and path.endswith(".pyc"):
            source = entries.get(_source_of(path))
            if isinstance(source, File):
                _date(tree, path, entry, source, timestamp)


def _source_of(path: str) -> str:
    """Return where the source of ``DIR/__pycache__/NAME.cpython-311.pyc`` is: ``DIR/NAME.py``."""
    compiled = PurePosixPath(path)
    return str(compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py")


def _date(tree: Tree, path: str, compiled: File, source: File, timestamp: int) -> None:
    content = compiled.read()
    if len(content) < _HEADER.size:
        return
    magic, flags, *_ = _HEADER.unpack_from(content)
    if flags != _CHECKED_HASH:
        return
    size = len(source.read()) if isinstance(source.source, bytes) else source.source.stat().st_size
    header = _HEADER.pack(magic, _BY_DATE, timestamp & 0xFFFFFFFF, size & 0xFFFFFFFF)
    dated = header + content[_HEADER.size :]
    if isinstance(compiled.source, Path):
        compiled.source.write_bytes(dated)
    else:
        tree.add(path, attrs.evolve(compiled, source=dated))
