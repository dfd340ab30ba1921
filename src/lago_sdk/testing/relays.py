"""Relays that listen nowhere: a test connects by calling them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import HostError
from lago_sdk.ports.relays import Address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_FIRST_PORT = 40_000


class FakeRelay:
    """A `lago_sdk.ports.Relay`.

    Attributes:
        is_closed: Whether somebody closed it.
    """

    def __init__(self, address: Address, dial: Callable[[], socket.socket]) -> None:
        self.is_closed = False
        self._address = address
        self._dial = dial

    @property
    def address(self) -> Address:
        """See `Relay.address`."""
        return self._address

    def connect(self) -> socket.socket:
        """Connect as somebody would who connects to its address.

        Raises:
            ConnectionRefusedError: It was closed.
        """
        if self.is_closed:
            raise ConnectionRefusedError(f"nobody listens at {self._address}")
        return self._dial()

    def close(self) -> None:
        """See `Relay.close`."""
        self.is_closed = True


class FakeRelays:
    """A `lago_sdk.ports.Relays`.

    Attributes:
        relays: Those that were opened, in order.
        viewed: What the viewer was told to connect to, in order.
        taken: Ports that somebody else listens on.
    """

    def __init__(self) -> None:
        self.relays: list[FakeRelay] = []
        self.viewed: list[str] = []
        self.taken: set[int] = set()

    def open_relay(self, dial: Callable[[], socket.socket], *, local_port: int) -> FakeRelay:
        """See `Relays.open_relay`."""
        if local_port in self.taken:
            raise HostError(f"cannot listen on 127.0.0.1 port {local_port}: it is taken")
        port = local_port or _FIRST_PORT + len(self.relays)
        relay = FakeRelay(Address("127.0.0.1", port), dial)
        self.relays.append(relay)
        return relay

    def run_viewer(self, connection: str) -> None:
        """See `Relays.run_viewer`; the window is closed at once."""
        self.viewed.append(connection)
