"""Network devices of the fake host: packets pass where a test lets them."""

from __future__ import annotations

import threading
import time

from lago_sdk.errors import CaptureError
from lago_sdk.ports.packets import Packet


class FakeTap:
    """A `lago_sdk.ports.PacketTap`.

    Args:
        device: The network device.
        words: The filter that was asked for; everything passes it.
        snaplen: Bytes of a packet that are kept at most.

    Attributes:
        lost: How many packets it says it has lost.
        is_closed: Whether somebody closed it.
    """

    def __init__(self, device: str, *, words: tuple[str, ...], snaplen: int) -> None:
        self.device = device
        self.words = words
        self.snaplen = snaplen
        self.lost = 0
        self.is_closed = False
        self._is_gone = False
        self._packets: list[Packet] = []
        self._news = threading.Condition()

    def pass_by(self, data: bytes, *, at: int | None = None) -> None:
        """Let a packet pass; *at* are nanoseconds since 1970, now when ``None``."""
        moment = time.time_ns() if at is None else at
        with self._news:
            self._packets.append(Packet(moment, len(data), data[: self.snaplen]))
            self._news.notify_all()

    def remove_device(self) -> None:
        """Let the network device go away."""
        with self._news:
            self._is_gone = True
            self._news.notify_all()

    def read(self, timeout: float) -> tuple[Packet, ...]:
        """See `PacketTap.read`."""
        with self._news:
            if timeout > 0 and not self._packets and not self._is_gone:
                self._news.wait(timeout)
            found, self._packets = tuple(self._packets), []
        if not found and self._is_gone:
            raise CaptureError(f"the network device {self.device!r} has gone")
        return found

    def count_lost(self) -> int:
        """See `PacketTap.count_lost`."""
        return self.lost

    def close(self) -> None:
        """See `PacketTap.close`."""
        self.is_closed = True
