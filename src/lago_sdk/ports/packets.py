"""Packets on a network device, as they pass."""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen
class Packet:
    """One Ethernet frame that passed."""

    time: int
    """When, in nanoseconds since 1970."""
    length: int
    """Its bytes, all of them."""
    data: bytes
    """Its first bytes, VLAN tag included."""


class PacketTap(Protocol):
    """Listens on a network device; what passes is kept until it is read."""

    def read(self, timeout: float) -> tuple[Packet, ...]:
        """Return packets that passed since the last call; none when none comes in *timeout* s.

        Raises:
            CaptureError: All is read, and the device is gone.
        """

    def count_lost(self) -> int:
        """Return how many packets were lost since the tap was opened: they came too fast."""

    def close(self) -> None:
        """Stop listening. Idempotent."""
