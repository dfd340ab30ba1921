"""Ports of our loopback that lead into a prefix's networks, and the viewer of displays.

The functions of this module together are a :class:`lago_sdk.ports.Relays`.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.adapters import process
from lago_sdk.errors import HostError, LagoError
from lago_sdk.ports.relays import Address

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOPBACK = "127.0.0.1"
_WAITING = 64
"""Connections that may wait to be taken."""
_CHUNK = 65_536


def open_relay(dial: Callable[[], socket.socket], *, local_port: int) -> LoopbackRelay:
    """See `Relays.open_relay`."""
    try:
        listener = socket.create_server((_LOOPBACK, local_port), backlog=_WAITING)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        message = f"cannot listen on {_LOOPBACK} port {local_port}: {why}"
        raise HostError(message, hint="take another port, or 0 for a free one") from error
    return LoopbackRelay(listener, dial)


def run_viewer(connection: str) -> None:
    """See `Relays.run_viewer`."""
    # The password is in it: a file that only we can read, and nothing that ps shows.
    with tempfile.NamedTemporaryFile("w", suffix=".vv", prefix="lago-") as file:
        file.write(connection)
        file.flush()
        process.run(["remote-viewer", file.name], timeout=None)


class LoopbackRelay:
    """Takes connections on our loopback and passes them on; as a `lago_sdk.ports.Relay`.

    Args:
        listener: Where they come.
        dial: Makes the other half of each.
    """

    def __init__(self, listener: socket.socket, dial: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._dial = dial
        self._address = Address(*listener.getsockname())
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = False
        self._thread = _start(self._accept, "lago relay")

    @property
    def address(self) -> Address:
        """See `Relay.address`."""
        return self._address

    def close(self) -> None:
        """See `Relay.close`."""
        with self._lock:
            self._is_closed = True
            halves = tuple(self._open)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
        self._thread.join()
        self._listener.close()
        for half in halves:
            with suppress(OSError):
                half.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            _start(partial(self._connect, near), "lago relay connection")

    def _connect(self, near: socket.socket) -> None:
        """Pass on one connection until both ends have closed it."""
        with near:
            try:
                far = self._dial()
            except (OSError, LagoError):
                return
            with far:
                if self._adopt(near, far):
                    back = _start(partial(_pass_on, far, near), "lago relay answers")
                    _pass_on(near, far)
                    back.join()
                with self._lock:
                    self._open -= {near, far}

    def _adopt(self, near: socket.socket, far: socket.socket) -> bool:
        """Note a connection, unless the relay was closed meanwhile."""
        with self._lock:
            if self._is_closed:
                return False
            self._open |= {near, far}
            return True


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on all that comes, and its end."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One has gone: nothing more can come from the other.
        for half in (source, target):
            with suppress(OSError):
                half.shutdown(socket.SHUT_RDWR)


def _start(action: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=action, name=name, daemon=True)
    thread.start()
    return thread
