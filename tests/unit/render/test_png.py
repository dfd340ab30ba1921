"""Pictures as PNG, and packets as pcap: formats that others read."""

import struct
import zlib

import pytest

from lago_sdk.render.pcap import render_head, render_packet
from lago_sdk.render.png import convert_ppm, parse_size
from lago_sdk.render.viewer import render_viewer_file

PIXELS = bytes(range(2 * 3 * 3))


@pytest.mark.parametrize("head", [b"P6\n2 3\n255\n", b"P6 2\t3 255 ", b"P6\n# by QEMU\n2 3\n255\n"])
def test_a_pixmap_becomes_a_png_of_the_same_pixels(head):
    png = convert_ppm(head + PIXELS)
    assert parse_size(png) == (2, 3)
    place, chunks = 8, {}
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        chunks[kind] = png[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", png[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(kind + chunks[kind])
        place += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"][8:10] == b"\x08\x02"
    lines = zlib.decompress(chunks[b"IDAT"])
    rows = [lines[start : start + 7] for start in range(0, 21, 7)]
    assert [row[0] for row in rows] == [0, 0, 0]
    assert b"".join(row[1:] for row in rows) == PIXELS


@pytest.mark.parametrize(
    "data",
    [b"", b"P5\n2 3\n255\n" + PIXELS, b"P6\n2 3\n65535\n" + PIXELS, b"P6\n2 3\n255\n" + PIXELS[1:]],
)
def test_what_is_no_pixmap_is_refused(data):
    with pytest.raises(ValueError, match="pixmap"):
        convert_ppm(data)


def test_what_is_no_png_has_no_size():
    with pytest.raises(ValueError, match="not a PNG"):
        parse_size(b"P6\n2 3\n255\n" + PIXELS)


def test_a_packet_is_written_with_its_time_and_both_lengths():
    magic, major, minor, *_, snaplen, kind = struct.unpack("<IHHiIII", render_head(96))
    assert (magic, major, minor, snaplen, kind) == (0xA1B23C4D, 2, 4, 96, 1)
    record = render_packet(1_700_000_000_123_456_789, b"abcd", 60)
    assert record[16:] == b"abcd"
    assert struct.unpack("<IIII", record[:16]) == (1_700_000_000, 123_456_789, 4, 60)


def test_a_file_for_remote_viewer_names_all_it_needs():
    text = render_viewer_file(kind="vnc", host="127.0.0.1", port=5900, password="x", title="web")
    assert text.splitlines()[0] == "[virt-viewer]"
    assert {"type=vnc", "host=127.0.0.1", "port=5900", "password=x"} < set(text.splitlines())
