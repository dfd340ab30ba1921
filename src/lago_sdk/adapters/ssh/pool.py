"""The kept connections to one guest: one as a rule, more while one cannot carry all sessions."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.connection import open_connection, open_session
from lago_sdk.adapters.ssh.failures import is_refused_session
from lago_sdk.adapters.ssh.stages import Limits, Reached
from lago_sdk.errors import SSHError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    import paramiko

    from lago_sdk.adapters.ssh.transport import Transport
    from lago_sdk.ports import SSHTarget

_OPEN_SECONDS = 10.0
"""Longest wait for a session on a kept connection; then the connection counts as broken."""
_SESSIONS = 8
"""Sessions at once on a connection; sshd allows 10 unless told otherwise (MaxSessions)."""
_DROPBEAR_SESSIONS = 1
"""dropbear 2022.83 closes new sessions at random while other sessions of the connection end."""


class Pool:
    """Connections to one guest and how many sessions each carries.

    Args:
        target: Whom to log in as, and where.
        dial: Gives a connected socket for an address, a port and a time-out in seconds.
    """

    def __init__(self, target: SSHTarget, dial: Callable[[str, int, float], socket.socket]) -> None:
        self._target = target
        self._dial = dial
        self._used: dict[Transport, int] = {}
        self._lock = threading.Lock()
        """Guards the table; held for an instant."""
        self._opening = threading.Lock()
        """Held while a connection is opened, so that threads do not open one each."""

    @contextmanager
    def session(self, seconds: float | None) -> Iterator[tuple[Transport, paramiko.Channel]]:
        """Open a channel for the block, over a new connection where no kept one will do.

        Nothing has been asked of the guest before the block begins, so trying again is safe.

        Args:
            seconds: How long this may take at most; ``None`` leaves it to our own limits.

        Raises:
            SSHError: No connection, or no session on a new one.
            HostKeyChangedError: The guest shows another host key than the pinned one.
        """
        end = None if seconds is None else time.monotonic() + seconds
        transport, channel = self._find_session(seconds) or self._create_session(end)
        try:
            yield transport, channel
        finally:
            # What we gave up on still ends in the guest; see _DROPBEAR_SESSIONS.
            if channel.exit_status < 0 and _is_dropbear(transport):
                self._drop(transport)
            self._release(transport)

    def is_alive(self, seconds: float) -> bool:
        """Whether a kept connection answers."""
        found = self._find_session(2 * seconds)
        if found is None:
            return False
        transport, channel = found
        channel.close()
        self._release(transport)
        return True

    def open(self, limits: Limits, reached: Reached, *, used: int = 0) -> Transport:
        """Open a connection and keep it; *used* sessions of it are taken.

        Raises:
            SSHError: It cannot be opened; *reached* says how far it came.
            HostKeyChangedError: The guest shows another host key than the pinned one.
        """
        transport = open_connection(self._target, self._dial, limits, reached)
        with self._lock:
            self._used[transport] = used
            if used:
                transport.wake()
        return transport

    def close(self, *, abort: bool = False) -> None:
        """Close all connections; the next use opens another.

        Args:
            abort: The guest will not know of them: leave nothing that waits for its farewell.
        """
        with self._lock:
            transports, self._used = tuple(self._used), {}
        for transport in transports:
            if abort:
                transport.abort()
            else:
                transport.end()

    def rest(self, seconds: float) -> tuple[int, ...]:
        """Wait until the guest has all that was sent; idle connections send nothing further.

        Returns:
            Our ports of the idle connections.
        """
        end = time.monotonic() + seconds
        with self._lock:
            transports = dict(self._used)
        for transport in transports:
            transport.wait_sent(end)
        ports = [transport.find_port() for transport, used in transports.items() if not used]
        return tuple(port for port in ports if port is not None)

    def _find_session(self, seconds: float | None) -> tuple[Transport, paramiko.Channel] | None:
        transport = self._find_transport()
        if transport is None:
            return None
        # Half of the time at most: a new connection may have to be made in the rest.
        limit = _OPEN_SECONDS if seconds is None else min(seconds / 2, _OPEN_SECONDS)
        try:
            return transport, open_session(transport, self._target.vm, limit)
        except SSHError as error:
            if is_refused_session(error.__cause__):
                self._release(transport)
            else:
                self._drop(transport)
        return None

    def _create_session(self, end: float | None) -> tuple[Transport, paramiko.Channel]:
        transport = self._get_transport(end)
        try:
            left = _left(end, _OPEN_SECONDS)
            return transport, open_session(transport, self._target.vm, left)
        except SSHError:
            self._drop(transport)
            raise

    def _find_transport(self) -> Transport | None:
        """Take a session of a kept connection that has one free and is not known to be broken."""
        with self._lock:
            for transport, used in self._used.items():
                if transport.is_active() and used < _capacity(transport):
                    self._used[transport] = used + 1
                    if not used:
                        transport.wake()
                    return transport
        return None

    def _get_transport(self, end: float | None) -> Transport:
        """Take a session of a kept connection, or of a new one.

        One thread opens it, the others wait for that.
        """
        limits = Limits()
        if not self._opening.acquire(timeout=_left(end, limits.whole)):
            raise SSHError(f"{self._target.vm}: no connection in time")
        try:
            limits = limits.within(_left(end, limits.whole))
            reached = Reached(port=self._target.port)
            return self._find_transport() or self.open(limits, reached, used=1)
        finally:
            self._opening.release()

    def _release(self, transport: Transport) -> None:
        """Give a session back; of idle connections one is kept, and none that is broken."""
        with self._lock:
            if transport in self._used:
                self._used[transport] -= 1
                if not self._used[transport]:
                    transport.rest()
            idle = [kept for kept, used in self._used.items() if used == 0]
            surplus = [kept for kept in idle if not kept.is_active()]
            surplus += [kept for kept in idle if kept.is_active()][1:]
            for kept in surplus:
                del self._used[kept]
        for kept in surplus:
            kept.end()

    def _drop(self, transport: Transport) -> None:
        with self._lock:
            self._used.pop(transport, None)
        transport.end()


def _is_dropbear(transport: Transport) -> bool:
    return "dropbear" in transport.remote_version.lower()


def _capacity(transport: Transport) -> int:
    return _DROPBEAR_SESSIONS if _is_dropbear(transport) else _SESSIONS


def _left(end: float | None, default: float) -> float:
    return default if end is None else max(end - time.monotonic(), 0.0)
