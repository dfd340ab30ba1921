"""A connection to libvirtd that never hangs: opened with a deadline, kept alive, reopened.

libvirt sends keep-alive messages only where an event loop runs, and has one error handler and
one event loop for the whole process. Both are set up when the first connection is opened: the
handler keeps libvirt from writing to standard error, the loop runs in a thread of its own.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from lago_sdk.adapters.libvirt.errors import translated
from lago_sdk.errors import HostError

_OPEN_TIMEOUT = 20.0
"""Seconds until a libvirtd that accepts connections and says nothing is given up."""
_KEEPALIVE_SECONDS = 5
_KEEPALIVE_COUNT = 4
"""A daemon that stays silent for that many intervals is taken for dead."""

_setup_lock = threading.Lock()
_setup_done = threading.Event()


class Connection:
    """A connection to the libvirtd at *uri*, for any number of threads.

    It is opened when first asked for, and again after it was lost.
    """

    def __init__(self, uri: str, *, timeout: float = _OPEN_TIMEOUT) -> None:
        self.uri = uri
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: Any = None
        self._closed = False

    def get(self) -> Any:
        """Return the open ``virConnect``.

        Raises:
            HostError: The daemon cannot be reached, or `close` was called.
        """
        with self._lock:
            if self._closed:
                raise HostError(f"the connection to {self.uri} is closed")
            with translated(f"connect to {self.uri}"):
                if self._connection is None or not self._connection.isAlive():
                    self._connection = _open(self.uri, self._timeout)
                return self._connection

    def is_lost(self) -> bool:
        """Whether it was open, and the daemon went away since; costs no question to it."""
        connection = self._connection
        return connection is not None and not connection.isAlive()

    def close(self) -> None:
        """Close it for good; idempotent."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            with translated(f"close the connection to {self.uri}"):
                connection.close()


def _open(uri: str, timeout: float) -> Any:
    """Open a connection in a thread, as libvirt has no deadline for it."""
    _set_up()
    future: Future[Any] = Future()
    name = f"connect to {uri}"
    threading.Thread(target=_open_into, args=(future, uri), name=name, daemon=True).start()
    try:
        return future.result(timeout)
    except TimeoutError:
        future.add_done_callback(_close_late)
        message = f"the libvirtd at {uri} does not answer within {timeout:g} s"
        raise HostError(message, hint="is it stopped or overloaded?") from None


def _open_into(future: Future[Any], uri: str) -> None:
    import libvirt

    try:
        connection = libvirt.open(uri)
        _keep_alive(connection)
    except libvirt.libvirtError as error:
        future.set_exception(error)
    else:
        future.set_result(connection)


def _keep_alive(connection: Any) -> None:
    import libvirt

    try:
        connection.setKeepAlive(_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise


def _close_late(future: Future[Any]) -> None:
    if future.exception() is None:
        future.result().close()


def _set_up() -> None:
    """Silence libvirt and start its event loop, once a process."""
    if _setup_done.is_set():
        return
    with _setup_lock:
        if _setup_done.is_set():
            return
        import libvirt

        libvirt.registerErrorHandler(_ignore, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run_events, name="libvirt events", daemon=True).start()
        _setup_done.set()


def _ignore(_context: object, _error: object) -> None:
    """Every error is raised as an exception as well."""


def _run_events() -> None:
    import libvirt

    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            return
