"""What guests show on their emulated displays, and where to look at it."""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen(kw_only=True)
class Picture:
    """A picture of a display as the hypervisor gives it."""

    data: bytes
    mime: str
    """``image/png``, or ``image/x-portable-pixmap`` of a QEMU that was built without PNG."""


@attrs.frozen(kw_only=True)
class DisplayServer:
    """The server by which somebody can sit at a display."""

    kind: str
    """``vnc`` or ``spice``."""
    host: str
    """Address that it listens on, in the prefix's networks."""
    port: int


class Screens(Protocol):
    """Displays of the hypervisor's domains."""

    def take_picture(self, domain: str) -> Picture:
        """Take a picture of the first display of a running domain; the guest does not notice.

        Raises:
            HypervisorError: The domain is off, or has no display.
        """

    def find_display_server(self, domain: str) -> DisplayServer | None:
        """The server of the display of a running domain; ``None`` without one."""
