"""Running one command over a channel, to its end or to a deadline."""

from __future__ import annotations

import re
import shlex
import threading
import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.failures import FAILURES
from lago_sdk.errors import CommandTimeoutError, SSHError
from lago_sdk.results import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import paramiko

    from lago_sdk.adapters.ssh.transport import Transport

_CHUNK = 32_768
"""Bytes of input a write: what fits into one ssh packet."""
_WRITER_LOOKS = 0.2
"""Seconds after which a writer that waits for room looks whether it is still wanted."""
_QUIET_SECONDS = 2.0
"""A command whose exit code is there is over after such a silence, even where something that it
left in the background still holds its output open."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Deadline:
    """The moment by which a command must have ended.

    Args:
        seconds: How far away it is; ``None`` is never.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._begin = time.monotonic()

    def left(self) -> float | None:
        """Seconds until then, 0 when it has passed, ``None`` when there is none."""
        if self._seconds is None:
            return None
        return max(self._begin + self._seconds - time.monotonic(), 0.0)

    def __str__(self) -> str:
        """The seconds that were given."""
        return "for ever" if self._seconds is None else f"{self._seconds:g} s"


def add_environment(command: str, env: Mapping[str, str] | None) -> str:
    """Return *command* preceded by a line that exports *env*.

    Servers accept no variables by the protocol's own request, dropbear none at all.

    Raises:
        SSHError: A name or a value cannot be a shell's variable.
    """
    if not env:
        return command
    for name, value in env.items():
        if not _NAME.match(name) or "\0" in value:
            raise SSHError(f"{name!r} cannot be set as an environment variable in the guest")
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items()) + "\n" + command


class RunningCommand:
    """A command that runs in a guest, as seen from our end of its channel."""

    def __init__(
        self,
        channel: paramiko.Channel,
        transport: Transport,
        *,
        guest: str,
        command: str,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._channel = channel
        self._transport = transport
        self._guest = guest
        self._command = command
        self._on_output = on_output
        self._out = bytearray()
        self._err = bytearray()
        self._unwanted = threading.Event()
        self._writer: threading.Thread | None = None
        self._news = _News()
        # fileno() would do, at the price of a pipe for each command.
        channel.in_buffer.set_event(self._news)
        channel.in_stderr_buffer.set_event(self._news)

    def start(self, line: str, data: bytes | None) -> None:
        """Send the command *line* and begin to send its input.

        Raises:
            SSHError: The connection broke; the command may have started.
        """
        try:
            self._channel.settimeout(_WRITER_LOOKS)
            self._transport.send_request(self._channel, "exec", line, want_reply=True)
            if not data:
                self._channel.shutdown_write()
        except FAILURES as error:
            raise self._lost() from error
        if data:
            self._writer = threading.Thread(
                target=self._feed, args=(data,), name=f"ssh-input-{self._guest}", daemon=True
            )
            self._writer.start()

    def finish(self, deadline: Deadline) -> CommandResult:
        """Collect the output until the command ends.

        Raises:
            CommandTimeoutError: The deadline passed.
            SSHError: The connection broke.
        """
        last_output = time.monotonic()
        while True:
            self._news.forget()
            ended = self._has_ended()  # asked before the look at the buffers: they are full then
            if self._drain():
                last_output = time.monotonic()
            quiet = time.monotonic() - last_output >= _QUIET_SECONDS
            if ended or (quiet and self._channel.status_event.is_set()):
                break
            left = deadline.left()
            if left == 0.0:
                self._interrupt()
                raise self._timed_out(deadline)
            self._news.wait(_QUIET_SECONDS if left is None else min(left, _QUIET_SECONDS))
        code = self._channel.exit_status
        if code < 0:
            raise self._lost()
        return CommandResult(
            command=self._command, code=code, out=_decode(self._out), err=_decode(self._err)
        )

    def close(self) -> None:
        """Close the channel; a writer that is still at it does so itself when it notices."""
        self._unwanted.set()
        if self._writer is None or not self._writer.is_alive():
            _close(self._channel)

    def _has_ended(self) -> bool:
        channel = self._channel
        return bool(channel.closed or (channel.eof_received and channel.status_event.is_set()))

    def _drain(self) -> bool:
        got = False
        while self._channel.recv_ready():
            self._take("out", self._out, self._channel.recv(1 << 20))
            got = True
        while self._channel.recv_stderr_ready():
            self._take("err", self._err, self._channel.recv_stderr(1 << 20))
            got = True
        return got

    def _take(self, stream: str, kept: bytearray, data: bytes) -> None:
        kept += data
        if self._on_output is not None and data:
            self._on_output(stream, data)

    def _feed(self, data: bytes) -> None:
        """Send the input; in a thread of its own, so that output is read meanwhile."""
        sent = 0
        while sent < len(data) and not self._unwanted.is_set():
            try:
                count = self._channel.send(data[sent : sent + _CHUNK])
            except TimeoutError:
                continue
            except FAILURES:
                return  # the reader learns why
            if count == 0:
                return
            sent += count
        if self._unwanted.is_set():
            _close(self._channel)
            return
        try:
            self._channel.shutdown_write()
        except FAILURES:
            return

    def _interrupt(self) -> None:
        """Ask the server to end the command: a closed channel alone does not."""
        if self._writer is not None and self._writer.is_alive():
            return  # it may hold the connection's write lock
        try:
            self._transport.send_request(self._channel, "signal", "TERM", want_reply=False)
        except FAILURES:
            return

    def _timed_out(self, deadline: Deadline) -> CommandTimeoutError:
        return CommandTimeoutError(
            f"{self._guest}: {self._command!r} did not end within {deadline}",
            command=self._command,
            out=_decode(self._out),
            err=_decode(self._err),
        )

    def _lost(self) -> SSHError:
        return SSHError(
            f"{self._guest}: the connection was lost while {self._command!r} ran",
            hint="whether it ran to its end is not known, so it is not run again",
        )


class _News(threading.Event):
    """An event that says "look again", shared by a channel's two buffers.

    A buffer clears its event when it has become empty; the other one may not be.
    """

    def clear(self) -> None:
        """Called by a buffer: does nothing."""

    def forget(self) -> None:
        """Clear it, before a look at everything."""
        super().clear()


def _close(channel: paramiko.Channel) -> None:
    try:
        channel.close()
    except FAILURES:
        return


def _decode(data: bytearray) -> str:
    return data.decode("utf-8", errors="replace")
