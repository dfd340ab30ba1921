"""Packets from a raw socket of Linux (packet(7)), filtered in the kernel.

A plain receive queue is used and no ring: a packet is in it as soon as it has passed, so that
whoever stops listening and then reads it empty has lost none. tcpdump, whose ring is handed over
in blocks, may lose the last ones.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import select
import socket
import struct
from typing import TYPE_CHECKING

from lago_sdk.adapters import process
from lago_sdk.errors import CaptureError
from lago_sdk.ports.packets import Packet

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_PROTOCOL = 3
"""``ETH_P_ALL`` of linux/if_ether.h."""
_QUEUE_BYTES = 32 << 20
"""What passes while nobody reads; an ordinary user gets ``net.core.rmem_max`` at most."""
_AT_ONCE = 512
_ETHERNET = 1
"""``ARPHRD_ETHER`` of linux/if_arp.h."""

# linux/if_packet.h
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _STATISTICS, _AUXDATA = 1, 6, 8
_PROMISCUOUS = 1
_AUX = struct.Struct("=IIIHHHH")
_VLAN_VALID, _VLAN_TYPE_VALID = 1 << 4, 1 << 6
_VLAN_TYPE = 0x8100
_MACS = 12
"""Bytes of the two addresses, after which a VLAN tag stands."""

# asm-generic/socket.h, linux/sockios.h
_ATTACH_FILTER, _RECEIVE_BUFFER_FORCE, _TIMESTAMP = 26, 33, 35
_GET_INDEX = 0x8933
_TIME = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_AUX.size) + socket.CMSG_SPACE(_TIME.size)


class SocketTap:
    """Listens on a network device by a raw socket, as a `lago_sdk.ports.PacketTap`.

    Args:
        raw: An ``AF_PACKET`` socket of the device's network namespace that is not bound yet.
            It is ours from here on.
        device: Name of the device.
        words: A filter in the language of pcap-filter(7); everything when empty.
        snaplen: Bytes of a packet that are kept at most.

    Raises:
        CaptureError: The filter or the device makes no sense.
        MissingToolError: There is a filter, and no tcpdump, which compiles it.
    """

    def __init__(
        self, raw: socket.socket, device: str, *, words: Sequence[str], snaplen: int
    ) -> None:
        self._socket = raw
        self._device = device
        self._buffer = bytearray(snaplen)
        self._lost = 0
        try:
            if words:
                attach_filter(raw, compile_filter(words))
            self._listen()
        except OSError as error:
            raw.close()
            message = f"cannot capture on the network device {device!r}: {error.strerror}"
            raise CaptureError(message) from error
        except BaseException:
            raw.close()
            raise

    def read(self, timeout: float) -> tuple[Packet, ...]:
        """See `PacketTap.read`."""
        found = self._take()
        if found or timeout <= 0:
            return found
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.poll(timeout * 1000)
        return self._take()

    def count_lost(self) -> int:
        """See `PacketTap.count_lost`."""
        if self._socket.fileno() >= 0:  # asking sets the kernel's counters back
            counters = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
            self._lost += struct.unpack("=II", counters)[1]
        return self._lost

    def close(self) -> None:
        """See `PacketTap.close`."""
        self.count_lost()
        self._socket.close()

    def _listen(self) -> None:
        raw = self._socket
        try:
            raw.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _QUEUE_BYTES)
        except PermissionError:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        raw.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        raw.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        member = struct.pack("=iHH8x", self._get_index(), _PROMISCUOUS, 0)
        raw.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
        raw.settimeout(0)
        raw.bind((self._device, EVERY_PROTOCOL))
        if raw.getsockname()[3] != _ETHERNET:
            raise CaptureError(f"the network device {self._device!r} has no Ethernet frames")

    def _get_index(self) -> int:
        """Ask the network namespace of the socket, which need not be ours, for the device."""
        request = struct.pack("16si20x", self._device.encode(), 0)
        index: int = struct.unpack_from("16si", fcntl.ioctl(self._socket, _GET_INDEX, request))[1]
        return index

    def _take(self) -> tuple[Packet, ...]:
        found: list[Packet] = []
        while len(found) < _AT_ONCE:
            try:
                size, ancillary, _, _ = self._socket.recvmsg_into([self._buffer], _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise CaptureError(f"cannot capture: {error.strerror}") from error
                if not found and not self._is_there():
                    message = f"the network device {self._device!r} has gone"
                    raise CaptureError(message) from error
            else:
                found.append(_read_packet(bytes(self._buffer[:size]), ancillary))
        return tuple(found)

    def _is_there(self) -> bool:
        try:
            self._get_index()
        except OSError:
            return False
        return True


def _read_packet(data: bytes, ancillary: Sequence[tuple[int, int, bytes]]) -> Packet:
    """Put together what the kernel tells of one packet; it takes VLAN tags out of them."""
    seconds = nanoseconds = 0
    length, tag = len(data), b""
    for level, kind, content in ancillary:
        if (level, kind) == (_SOL_PACKET, _AUXDATA):
            status, length, _, _, _, vlan, vlan_type = _AUX.unpack(content)
            if status & _VLAN_VALID:
                protocol = vlan_type if status & _VLAN_TYPE_VALID else _VLAN_TYPE
                tag = struct.pack(">HH", protocol, vlan)
        elif (level, kind) == (socket.SOL_SOCKET, _TIMESTAMP):
            seconds, nanoseconds = _TIME.unpack(content)
    if tag:
        data = data[:_MACS] + tag + data[_MACS:]
    return Packet(seconds * 1_000_000_000 + nanoseconds, length + len(tag), data)


def compile_filter(words: Sequence[str]) -> bytes:
    """Return a filter of pcap-filter(7) as instructions for the kernel (``struct sock_filter``).

    Raises:
        CaptureError: It makes no sense; tells what tcpdump says of it.
        MissingToolError: There is no tcpdump.
    """
    # Without -i it opens no device, so that it needs no permission.
    done = process.run(["tcpdump", "-y", "EN10MB", "-ddd", "--", *words], timeout=30, check=False)
    if done.code != 0:
        lines = [line for line in done.err.splitlines() if line.startswith("tcpdump: ")]
        why = lines[-1].removeprefix("tcpdump: ") if lines else done.err.strip()
        message = f"{' '.join(words)!r} is no filter: {why}"
        raise CaptureError(message, hint="for example: icmp or tcp port 22 (man pcap-filter)")
    rows = [[int(number) for number in line.split()] for line in done.out.splitlines()[1:]]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def attach_filter(raw: socket.socket, instructions: bytes) -> None:
    """Have the kernel keep what *instructions* (``struct sock_filter``) let pass, and no more."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(code))
    raw.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
