"""A guest over ssh: its connection is opened on first use, kept, reopened when it broke."""

from __future__ import annotations

import contextlib
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import paramiko

    from lago_sdk.adapters.ssh.command_stream import CommandStream, Mark
    from lago_sdk.adapters.ssh.pool import Pool
    from lago_sdk.adapters.ssh.stages import Limits, Reached
    from lago_sdk.ports import Extraction, Readable, Skipped, SSHTarget
    from lago_sdk.results import CommandResult

_END_SECONDS = 10.0
"""For telling a command that it is not wanted any more."""


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
        self._pool: Pool | None = None
        self._lock = threading.Lock()

    def run(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run *command* in the login shell and wait for its end.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input, of any size; empty when ``None``. A file is read while the
                command reads, by another thread.
            timeout: Seconds to wait at most, for the connection and the command together.
            env: Variables to export before it.
            on_output: Called with ``"out"`` or ``"err"`` and the bytes, as output arrives.
            capture: Whether the result has the output; without, `on_output` alone gets it.

        Returns:
            Exit code (128 + signal where a signal ended it) and all output. A command that
            leaves a background process on its output ends 2 s after its last output.

        Raises:
            CommandTimeoutError: It did not end in time; carries its output so far.
            SSHError: No connection, or the connection was lost while it ran.
            HostKeyChangedError: The guest shows another host key than the pinned one.
            Exception: What reading the input raised.
        """
        from lago_sdk.adapters.ssh.commands import RunningCommand, add_environment
        from lago_sdk.adapters.ssh.remote_command import Deadline

        deadline = Deadline(timeout)
        line = add_environment(command, env)
        with self._get_pool().session(deadline.left()) as (transport, channel):
            running = RunningCommand(
                channel,
                transport,
                guest=self._target.vm,
                command=command,
                on_output=on_output,
                capture=capture,
            )
            try:
                running.start(line, input)
                return running.finish(deadline)
            finally:
                running.close()

    @contextmanager
    def stream(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Iterator[CommandStream]:
        """Run *command* in the login shell for the block, and read what it writes meanwhile.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input, as for `run`.
            timeout: Seconds to wait at most, for the connection and the command together.
            env: Variables to export before it.

        Raises:
            SSHError: No connection.
            HostKeyChangedError: The guest shows another host key than the pinned one.
        """
        from lago_sdk.adapters.ssh.command_stream import CommandStream, Mark
        from lago_sdk.adapters.ssh.commands import add_environment
        from lago_sdk.adapters.ssh.remote_command import Deadline

        deadline = Deadline(timeout)
        mark = Mark()
        line = mark.put_on(add_environment(command, env))
        with self._get_pool().session(deadline.left()) as (transport, channel):
            stream = CommandStream(
                channel, transport, guest=self._target.vm, command=command, deadline=deadline
            )
            try:
                stream.start(line, input)
                yield stream
            finally:
                if stream.is_left_running() and transport.is_active():
                    self._end_command(mark, stream)
                stream.close()

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

        with self._get_pool().session(None) as (_, channel):
            return attach(channel, command, guest=self._target.vm)

    def extract(
        self, paths: Sequence[tuple[str, Path]], *, timeout: float | None = None
    ) -> Extraction:
        """Copy files and whole directories from the guest by one tar stream.

        Args:
            paths: What to copy, and the names it gets here.
            timeout: Seconds it may take.

        Raises:
            CommandTimeoutError: It took longer.
            SSHError: No connection, it was lost, or the guest lacks tar.
            LagoError: They cannot be written here.
        """
        from lago_sdk.adapters.ssh.archive import extract

        return extract(paths, lambda command: self.stream(command, timeout=timeout))

    def copy_to(
        self,
        sources: Sequence[str],
        target: str,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Copy files and directories to the guest; see `lago_sdk.ports.Guest.copy_to`."""
        from lago_sdk.adapters.ssh.copies import copy_to

        return copy_to(self, sources, target, follow=follow, on_progress=on_progress)

    def copy_from(
        self,
        sources: Sequence[str],
        target: Path,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Copy files and directories from the guest; see `lago_sdk.ports.Guest.copy_from`."""
        from lago_sdk.adapters.ssh.fetches import copy_from

        return copy_from(self, sources, target, follow=follow, on_progress=on_progress)

    @property
    def name(self) -> str:
        """Name of the VM."""
        return self._target.vm

    @contextmanager
    def session(self) -> Iterator[paramiko.Channel]:
        """Open a channel for the block.

        Raises:
            SSHError: No connection.
        """
        with self._get_pool().session(None) as (_, channel):
            try:
                yield channel
            finally:
                channel.close()

    def rest(self, seconds: float) -> tuple[int, ...]:
        """Wait until the guest has acknowledged what was sent; see `lago_sdk.ports.Guest.rest`."""
        with self._lock:
            pool = self._pool
        return () if pool is None else pool.rest(seconds)

    def close(self, *, abort: bool = False) -> None:
        """Close the connection; the next use opens another.

        Args:
            abort: The guest will not know of it; see `lago_sdk.ports.Guest.close`.
        """
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(abort=abort)

    def _end_command(self, mark: Mark, stream: CommandStream) -> None:
        """Have the command of *stream*, which nobody wants any more, end in the guest."""
        with contextlib.suppress(LagoError):
            self.run(mark.get_end_command(), timeout=_END_SECONDS)
            stream.wait_for_end()

    def _get_pool(self) -> Pool:
        """The connections; made on first use, for paramiko is slow to import."""
        from lago_sdk.adapters.ssh.pool import Pool

        with self._lock:
            if self._pool is None:
                self._pool = Pool(self._target, self._dial)
            return self._pool

    def _attempt(self, limits: Limits, reached: Reached) -> None:
        """Log in, or see that the kept connection still works."""
        pool = self._get_pool()
        if not pool.is_alive(min(limits.handshake, limits.whole)):
            pool.open(limits, reached)
