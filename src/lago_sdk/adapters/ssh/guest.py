"""A guest over ssh: one connection, opened on first use, kept, reopened when it broke."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lago_sdk.errors import SSHError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    import paramiko

    from lago_sdk.adapters.ssh.stages import Limits, Reached
    from lago_sdk.adapters.ssh.transport import Transport
    from lago_sdk.ports import SSHTarget
    from lago_sdk.results import CommandResult

_OPEN_SECONDS = 10.0
"""Longest wait for a session on a kept connection; then the connection counts as broken."""


class SSHGuest:
    """A :class:`lago_sdk.ports.Guest` over paramiko; safe to use from several threads.

    Args:
        target: Whom to log in as, and where.
        dial: Gives a connected socket for an address, a port and a time-out in seconds,
            across network namespaces where need be; raises ``OSError``.
    """

    def __init__(self, target: SSHTarget, dial: Callable[[str, int, float], socket.socket]) -> None:
        self._target = target
        self._dial = dial
        self._transport: Transport | None = None
        self._lock = threading.Lock()
        """Guards the field; held for an instant."""
        self._opening = threading.Lock()
        """Held while a connection is opened, so that threads do not open one each."""

    def run(
        self,
        command: str,
        *,
        input: bytes | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        """Run *command* in the login shell and wait for its end.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input, of any size; empty when ``None``.
            timeout: Seconds to wait at most, for the connection and the command together.
            env: Variables to export before it.
            on_output: Called with ``"out"`` or ``"err"`` and the bytes, as output arrives.

        Returns:
            Exit code (128 + signal where a signal ended it) and all output. A command that
            leaves a background process on its output ends 2 s after its last output.

        Raises:
            CommandTimeoutError: It did not end in time; carries its output so far.
            SSHError: No connection, or the connection was lost while it ran.
            HostKeyChangedError: The guest shows another host key than the pinned one.
        """
        from lago_sdk.adapters.ssh.commands import Deadline, RunningCommand, add_environment

        deadline = Deadline(timeout)
        line = add_environment(command, env)
        transport, channel = self._open_session(deadline.left())
        running = RunningCommand(
            channel, transport, guest=self._target.vm, command=command, on_output=on_output
        )
        try:
            running.start(line, input)
            return running.finish(deadline)
        finally:
            running.close()

    def wait(
        self,
        *,
        timeout: float,
        explain: Callable[[], str],
        give_up: Callable[[], None] | None = None,
    ) -> float:
        """Wait until a login works; the connection is kept for the first command.

        Refused logins are tolerated, one a second: keys may be installed late in a boot.

        Args:
            timeout: Seconds to wait at most.
            explain: Called when the deadline has passed; tells what else is known.
            give_up: Called before each attempt; whatever it raises ends the wait.

        Returns:
            The seconds it took.

        Raises:
            WaitTimeoutError: With the furthest stage that was reached.
            HostKeyChangedError: The guest shows another host key than the pinned one.
            SSHError: Waiting is no use: no algorithm in common, no readable key.
        """
        from lago_sdk.adapters.ssh.connection import load_key
        from lago_sdk.adapters.ssh.failures import is_hopeless
        from lago_sdk.adapters.ssh.waiting import LoginWait

        load_key(self._target)
        return LoginWait(
            guest=self._target.vm,
            attempt=self._attempt,
            is_hopeless=lambda error: is_hopeless(error.__cause__),
            port=self._target.port,
        ).run(timeout, explain, give_up)

    def interact(self, command: str | None = None) -> int:
        """Attach our standard streams to a shell (or *command*) in the guest.

        Where standard input is a terminal the guest gets one too, of the same size.

        Returns:
            The exit code.

        Raises:
            SSHError: No connection, or it was lost.
        """
        from lago_sdk.adapters.ssh.interactive import attach

        _, channel = self._open_session(None)
        return attach(channel, command, guest=self._target.vm)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.end()

    def _attempt(self, limits: Limits, reached: Reached) -> None:
        """Log in, or see that the kept connection still works."""
        from lago_sdk.adapters.ssh.connection import open_connection, open_session

        kept = self._find_transport()
        if kept is not None:
            try:
                open_session(kept, self._target.vm, limits.handshake).close()
            except SSHError:
                self._drop(kept)
            else:
                return
        self._keep(open_connection(self._target, self._dial, limits, reached))

    def _open_session(self, seconds: float | None) -> tuple[Transport, paramiko.Channel]:
        """Open a channel, over a new connection where the kept one is broken.

        Nothing has been asked of the guest before this returns, so trying again is safe.
        """
        from lago_sdk.adapters.ssh.connection import open_session
        from lago_sdk.adapters.ssh.failures import is_refused_session

        end = None if seconds is None else time.monotonic() + seconds
        kept = self._find_transport()
        if kept is not None:
            # Half of the time at most: a new connection may have to be made in the rest.
            limit = _OPEN_SECONDS if seconds is None else min(seconds / 2, _OPEN_SECONDS)
            try:
                return kept, open_session(kept, self._target.vm, limit)
            except SSHError as error:
                if is_refused_session(error.__cause__):
                    raise
                self._drop(kept)
        fresh = self._get_transport(end)
        left = _OPEN_SECONDS if end is None else end - time.monotonic()
        return fresh, open_session(fresh, self._target.vm, left)

    def _find_transport(self) -> Transport | None:
        """The kept connection, if it is not known to be broken."""
        with self._lock:
            transport = self._transport
        return transport if transport is not None and transport.is_active() else None

    def _get_transport(self, end: float | None) -> Transport:
        """The kept connection, or a new one; one thread opens it, the others wait for that."""
        from lago_sdk.adapters.ssh.connection import open_connection
        from lago_sdk.adapters.ssh.stages import Limits, Reached

        limits = Limits()
        if not self._opening.acquire(timeout=_left(end, limits.total)):
            raise SSHError(f"{self._target.vm}: no connection in time")
        try:
            kept = self._find_transport()
            if kept is not None:
                return kept
            limits = limits.within(_left(end, limits.total))
            reached = Reached(port=self._target.port)
            transport = open_connection(self._target, self._dial, limits, reached)
            self._keep(transport)
            return transport
        finally:
            self._opening.release()

    def _keep(self, transport: Transport) -> None:
        with self._lock:
            previous, self._transport = self._transport, transport
        if previous is not None:
            previous.end()

    def _drop(self, transport: Transport) -> None:
        """Forget a broken connection, unless somebody has replaced it already."""
        with self._lock:
            if self._transport is transport:
                self._transport = None
        transport.end()


def _left(end: float | None, default: float) -> float:
    return default if end is None else max(end - time.monotonic(), 0.0)
