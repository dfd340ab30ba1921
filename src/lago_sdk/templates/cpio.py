"""The cpio archive that a Linux kernel takes as its initial file system.

Source: ``Documentation/driver-api/early-userspace/buffer-format.rst`` of the kernel ("newc").
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from lago_sdk.templates.tree import Directory, Entry, File, Link

if TYPE_CHECKING:
    from lago_sdk.templates.tree import Tree

_TRAILER = "TRAILER!!!"


def render_cpio(tree: Tree) -> bytes:
    """Return *tree* as an uncompressed archive; the same tree gives the same bytes."""
    parts = [
        _member(number, path, *_content(entry))
        for number, (path, entry) in enumerate(tree.list(), start=1)
    ]
    parts.append(_member(0, _TRAILER, 0, b""))
    return b"".join(parts)


def _content(entry: Entry) -> tuple[int, bytes]:
    match entry:
        case File():
            return stat.S_IFREG | entry.mode, entry.read()
        case Link():
            return stat.S_IFLNK | 0o777, entry.target.encode()
        case Directory():
            return stat.S_IFDIR | entry.mode, b""


def _member(number: int, path: str, mode: int, data: bytes) -> bytes:
    name = path.encode() + b"\x00"
    # ino, mode, uid, gid, nlink, mtime, filesize, device (4 fields), namesize, check
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _pad(header + name) + _pad(data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
