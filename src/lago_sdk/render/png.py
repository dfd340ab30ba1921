"""Pictures as PNG (https://www.w3.org/TR/png/)."""

from __future__ import annotations

import re
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)\s")
_TRUE_COLOR = 2
_BYTES_PER_PIXEL = 3
_PLAIN_LINE = b"\0"
"""Before each line: its bytes are as they are (filter type 0)."""


def convert_ppm(data: bytes) -> bytes:
    """Return a binary portable pixmap (https://netpbm.sourceforge.net/doc/ppm.html) as PNG.

    Raises:
        ValueError: It is none, or not one of 256 values a color.
    """
    header = _HEADER.match(data)
    if header is None or int(header[3]) != 255:
        raise ValueError("not a binary pixmap with a byte a color")
    width, height = int(header[1]), int(header[2])
    line = width * _BYTES_PER_PIXEL
    pixels = data[header.end() :]
    if len(pixels) < line * height or not line * height:
        raise ValueError("the pixmap is cut off")
    lines = (pixels[start : start + line] for start in range(0, line * height, line))
    body = b"".join(_PLAIN_LINE + each for each in lines)
    head = struct.pack(">IIBBBBB", width, height, 8, _TRUE_COLOR, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(body)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_render_chunk(kind, content) for kind, content in chunks)


def _render_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def parse_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, in pixels.

    Raises:
        ValueError: It is none.
    """
    if not data.startswith(_SIGNATURE) or len(data) < 24:
        raise ValueError("not a PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height
