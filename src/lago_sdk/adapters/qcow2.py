"""What the first bytes of a qcow2 image tell (QEMU, docs/interop/qcow2.txt)."""

from __future__ import annotations

import struct

from lago_sdk.errors import ImageError

_HEADER = struct.Struct(">4sIQI")
"""Magic, version, where the backing file's name is and how long it is."""
_MAGIC = b"QFI\xfb"
_FEATURES_AT = 72
_EXTERNAL_DATA = 1 << 2
"""The incompatible feature bit of an image whose content is in another file."""


def find_backing(head: bytes) -> str | None:
    """Return the name of the backing file of a qcow2 image, or ``None`` where it has none.

    Nothing is opened: it is safe for images of strangers.

    Args:
        head: The first bytes of the image; 64 KiB hold the names that QEMU writes.

    Raises:
        ImageError: It is no qcow2 image, is damaged, or has its content in another file.
    """
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        raise ImageError("it is no qcow2 image")
    _, version, offset, length = _HEADER.unpack_from(head)
    if version >= 3 and len(head) >= _FEATURES_AT + 8:
        (features,) = struct.unpack_from(">Q", head, _FEATURES_AT)
        if features & _EXTERNAL_DATA:
            raise ImageError("its content is in another file")
    if offset == 0:
        return None
    name = head[offset : offset + length]
    if len(name) != length or not name:
        raise ImageError("the name of its backing file is missing")
    return name.decode(errors="surrogateescape")
