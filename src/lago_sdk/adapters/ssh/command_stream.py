"""The output of a command in a guest, read while the command runs."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from lago_sdk.adapters.ssh.remote_command import Deadline, RemoteCommand

if TYPE_CHECKING:
    import paramiko

    from lago_sdk.adapters.ssh.transport import Transport

_MUCH = 1 << 30
_ERR_LIMIT = 65_536
"""Bytes of the error output that are kept: its end, which tells why a command failed."""
_LOOK_SECONDS = 0.1
_END_SECONDS = 2.0
"""In which a command that was sent SIGTERM ends, as a rule."""
_END_SCRIPT = """\
for file in $(grep -ls {mark} /proc/[0-9]*/environ); do
    process=${{file#/proc/}}
    kill "${{process%/environ}}"
done
"""


class Mark:
    """A variable in the environment of a command and all its children, to find them by.

    Servers know of signals, but sshd refuses to send one to what root runs, and dropbear sends
    it to the shell alone.
    """

    def __init__(self) -> None:
        self._variable = f"LAGO_COMMAND={uuid4().hex}"

    def put_on(self, line: str) -> str:
        """Return *line* as a command that bears the mark, for the same shell."""
        return f'exec env {self._variable} "${{SHELL:-/bin/sh}}" -c {shlex.quote(line)}'

    def get_end_command(self) -> str:
        """Return the command that sends SIGTERM to all that bear the mark."""
        return shlex.join(["sh", "-c", _END_SCRIPT.format(mark=self._variable)])


class CommandStream(RemoteCommand):
    """A :class:`lago_sdk.ports.GuestStream`: the standard output of a command.

    What is not read stays in the channel, whose window stops the command when it is full; the
    error output is read along and its end kept.

    Args:
        channel: A new session.
        transport: The connection it belongs to.
        guest: Name of the VM, for messages.
        command: The command as the user gave it, for messages.
        deadline: When it must have ended.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        transport: Transport,
        *,
        guest: str,
        command: str,
        deadline: Deadline,
    ) -> None:
        super().__init__(channel, transport, guest=guest, command=command)
        self._deadline = deadline
        self._rest = memoryview(b"")
        self._err = bytearray()
        self._code: int | None = None
        self._last_output = time.monotonic()

    @property
    def command(self) -> str:
        """The command as it was given."""
        return self._command

    @property
    def code(self) -> int | None:
        """The exit code, 128 + signal where one ended it; ``None`` before the end was read."""
        return self._code

    @property
    def err(self) -> str:
        """What it wrote to standard error so far: the last 64 KiB."""
        return self._err.decode("utf-8", errors="replace")

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes as soon as there are some; none at the end.

        Args:
            size: -1 is "until the end", which keeps all of it in memory.

        Raises:
            CommandTimeoutError: The deadline passed.
            SSHError: The connection broke.
            Exception: What reading the input raised.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_MUCH), b""))
        if size and not self._rest:
            self._rest = memoryview(self._receive())
        taken = self._rest[:size]
        self._rest = self._rest[size:]
        return bytes(taken)

    def wait_for_end(self) -> None:
        """Let a command that was told to end do so; its output is thrown away."""
        end = time.monotonic() + _END_SECONDS
        while not self._has_ended() and (left := end - time.monotonic()) > 0:
            self._news.forget()
            self._drain_errors()
            if not self._take_output():
                self._news.wait(min(left, _LOOK_SECONDS))

    def is_left_running(self) -> bool:
        """Whether it runs on in the guest, as far as we know."""
        return self._code is None and not self._has_ended()

    def _receive(self) -> bytes:
        """Wait for output; returns all that is there, none when the command has ended."""
        while self._code is None:
            self._news.forget()
            ended = self._has_ended()  # asked before the look at the buffers: they are full then
            self._drain_errors()
            if data := self._take_output():
                self._last_output = time.monotonic()
                return data
            if ended or self._is_over(self._last_output):
                self._end()
            elif not self._wait_for_news(self._deadline):
                raise self._timed_out(self._deadline, "", self.err)
        return b""

    def _drain_errors(self) -> None:
        while data := self._take_errors():
            self._err += data
            self._last_output = time.monotonic()
        del self._err[:-_ERR_LIMIT]

    def _end(self) -> None:
        if self._channel.exit_status < 0:
            raise self._lost()
        self._code = self._channel.exit_status
