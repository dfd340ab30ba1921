"""Captured packets as a pcap file (draft-ietf-opsawg-pcap), times in nanoseconds."""

from __future__ import annotations

import struct

_MAGIC = 0xA1B23C4D
_VERSION = (2, 4)
_ETHERNET = 1
_SECOND = 1_000_000_000


def render_head(snaplen: int) -> bytes:
    """Return what a file begins with.

    Args:
        snaplen: Bytes of a packet that are kept at most.
    """
    return struct.pack("<IHHiIII", _MAGIC, *_VERSION, 0, 0, snaplen, _ETHERNET)


def render_packet(time: int, data: bytes, length: int) -> bytes:
    """Return the record of one packet.

    Args:
        time: When it passed, in nanoseconds since 1970.
        data: What of it is kept.
        length: Its bytes, all of them.
    """
    return struct.pack("<IIII", *divmod(time, _SECOND), len(data), length) + data
