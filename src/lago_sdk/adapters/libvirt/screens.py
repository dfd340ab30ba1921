"""Displays of libvirt's domains behind the `Screens` port."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.part import Part
from lago_sdk.ports.screens import DisplayServer, Picture

_CHUNK = 1 << 18
_SERVERS = ("vnc", "spice")


class LibvirtScreens(Part):
    """The displays of a libvirtd's domains, as a `lago_sdk.ports.Screens`."""

    def take_picture(self, domain: str) -> Picture:
        """See `Screens.take_picture`."""
        import libvirt

        with self._with_domain(domain, f"take a picture of domain {domain!r}") as found:
            stream = found.connect().newStream(0)
            try:
                mime = found.screenshot(stream, 0, 0)
                data = _receive(stream)
            except libvirt.libvirtError:
                _give_up(stream)
                raise
        return Picture(data=data, mime=str(mime))

    def find_display_server(self, domain: str) -> DisplayServer | None:
        """See `Screens.find_display_server`."""
        with self._with_domain(domain, f"look at the display of domain {domain!r}") as found:
            return _read_server(found.XMLDesc(0))


def _receive(stream: Any) -> bytes:
    """Read a stream to its end."""
    data = bytearray()
    while chunk := stream.recv(_CHUNK):
        data += chunk
    stream.finish()
    return bytes(data)


def _give_up(stream: Any) -> None:
    import libvirt

    try:
        stream.abort()
    except libvirt.libvirtError:
        return  # it never began


def _read_server(xml: str) -> DisplayServer | None:
    """Return the display server that the XML of a running domain tells of."""
    for graphics in ET.fromstring(xml).iterfind("devices/graphics"):  # noqa: S314 - libvirt's
        kind, port = graphics.get("type", ""), int(graphics.get("port", "-1"))
        if kind in _SERVERS and port > 0:
            host = graphics.get("listen") or "127.0.0.1"
            return DisplayServer(kind=kind, host=host, port=port)
    return None
