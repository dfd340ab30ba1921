"""Plugins that need no package, and the world outside of a prefix's host."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, TypeVar

from lago_sdk.ports import PluginKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")


class FakePlugins:
    """A `lago_sdk.ports.Plugins` that a test fills.

    Attributes:
        problems: What was wrong with plugins, by kind and name, as far as they were asked for.
    """

    def __init__(self) -> None:
        self.problems: dict[tuple[PluginKind, str], Exception] = {}
        self._known: dict[PluginKind, dict[str, object]] = {kind: {} for kind in PluginKind}

    def install(self, kind: PluginKind, name: str, value: object) -> None:
        """Have a plugin whose entry point names *value*."""
        self._known[kind][name] = value

    def list_names(self, kind: PluginKind, *, taken: Collection[str] = ()) -> tuple[str, ...]:
        """See `Plugins.list_names`."""
        return tuple(name for name in self._known[kind] if name not in taken)

    def find(self, kind: PluginKind, name: str, accept: Callable[[object], T]) -> T | None:
        """See `Plugins.find`."""
        if name not in self._known[kind]:
            return None
        try:
            return accept(self._known[kind][name])
        except Exception as error:  # noqa: BLE001 - as the real ones
            self.problems[kind, name] = error
            return None


class FakeOutside:
    """A `lago_sdk.ports.Dial` into a world in which nobody listens, unless told where.

    Attributes:
        dialled: Addresses and ports that were asked for.
    """

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []
        self._forwards: dict[tuple[str, int], tuple[str, int]] = {}

    def forward(self, address: str, port: int, *, to: tuple[str, int]) -> None:
        """Lead connections to *address* and *port* to a real listener."""
        self._forwards[address, port] = to

    def __call__(self, address: str, port: int, timeout: float, /) -> socket.socket:
        """See `Dial`.

        Raises:
            ConnectionRefusedError: Nothing was forwarded there.
        """
        self.dialled.append((address, port))
        target = self._forwards.get((address, port))
        if target is None:
            raise ConnectionRefusedError(f"nobody listens at {address} port {port}")
        connected = socket.create_connection(target, timeout=timeout)
        connected.settimeout(None)
        return connected
