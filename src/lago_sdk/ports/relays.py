"""Ports of our own loopback that lead into the prefix's networks, and programs that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Address(NamedTuple):
    """An address and a TCP port of this machine; as text ``127.0.0.1:8080``."""

    host: str
    port: int

    def __str__(self) -> str:
        """Host and port as URLs have them."""
        return f"{self.host}:{self.port}"


class Relay(Protocol):
    """Takes connections and passes them on, until it is closed."""

    @property
    def address(self) -> Address:
        """Where it listens."""

    def close(self) -> None:
        """Listen no more, and end the connections that there are. Idempotent."""


class Relays(Protocol):
    """Makes relays."""

    def open_relay(self, dial: Callable[[], socket.socket], *, local_port: int) -> Relay:
        """Listen on our loopback, and pass each connection on.

        Args:
            dial: Makes the connection that one is passed on to. A connection for which it raises
                ``OSError`` or `lago_sdk.LagoError` is closed.
            local_port: The port to listen on; a free one for 0.

        Raises:
            HostError: We cannot listen there.
        """

    def run_viewer(self, connection: str) -> None:
        """Show a display in a window, until that is closed.

        Args:
            connection: What remote-viewer(1) shall connect to, in the form of its files.

        Raises:
            MissingToolError: It is not installed.
            ToolError: It failed.
        """
