"""Displays of fake domains: one black pixel each, until a test puts another picture there."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lago_sdk.errors import HypervisorError
from lago_sdk.ports.screens import DisplayServer, Picture
from lago_sdk.testing.hypervisor_part import FakePart

_BLACK = Picture(data=b"P6\n1 1\n255\n\0\0\0", mime="image/x-portable-pixmap")
_FIRST_PORT = 5900


class FakeScreens(FakePart):
    """Displays with a server where the domain's XML has one."""

    def put_picture(self, domain: str, picture: Picture) -> None:
        """Let the display of *domain* show *picture*."""
        with self._lock:
            self._pictures[domain] = picture

    def take_picture(self, domain: str) -> Picture:
        """See `Screens.take_picture`."""
        with self._lock:
            self._begin("take_picture", domain)
            record = self._get_active(domain, "take a picture of")
            model = ET.fromstring(record.xml).find("devices/video/model")  # noqa: S314 - a test's
            if model is not None and model.get("type") == "none":
                raise HypervisorError(f"cannot take a picture of domain {domain!r}: no console")
            return self._pictures.get(domain, _BLACK)

    def find_display_server(self, domain: str) -> DisplayServer | None:
        """See `Screens.find_display_server`; ports are given in the order of the names."""
        with self._lock:
            self._begin("find_display_server", domain)
            record = self._get_active(domain, "look at the display of")
            graphics = ET.fromstring(record.xml).find("devices/graphics")  # noqa: S314 - a test's
            if graphics is None:
                return None
            port = _FIRST_PORT + sorted(self._domains).index(domain)
            return DisplayServer(kind=graphics.get("type", ""), host="127.0.0.1", port=port)
