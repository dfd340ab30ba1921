"""Connections by this machine's own routes: to what is not on a prefix's host."""

from __future__ import annotations

import socket


def dial_outside(address: str, port: int, timeout: float) -> socket.socket:
    """Return a socket connected to *address*, which may be a host name.

    Args:
        address: IPv4 or IPv6 address, or a name that this machine resolves.
        port: TCP port.
        timeout: Seconds for the connection; the socket itself has no timeout.

    Raises:
        OSError: As ``socket.create_connection``.
    """
    new = socket.create_connection((address, port), timeout=timeout)
    new.settimeout(None)
    return new
