"""Our terminal attached to a shell in a guest."""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.failures import FAILURES, translate
from lago_sdk.adapters.terminal import (
    CHUNK,
    STANDARD,
    Streams,
    raw_mode,
    read_keys,
    resize_signal,
    write_all,
)
from lago_sdk.errors import SSHError

if TYPE_CHECKING:
    import paramiko

_RETRY_SECONDS = 0.02
"""Until input for which the guest has no room is offered again."""
_FALLBACK_TERM = "xterm"


def attach(
    channel: paramiko.Channel, command: str | None, *, guest: str, streams: Streams = STANDARD
) -> int:
    """Run a login shell (or *command*) with our streams as its own, to its end.

    Where our standard input is a terminal, the guest gets one of the same type and size, ours is
    in raw mode meanwhile and restored in any case, and changes of its size are passed on. Else
    nothing but bytes are passed, as in a pipe.

    Args:
        channel: A new session; closed on return.
        command: What to run; the user's login shell when ``None``.
        guest: Name of the VM, for messages.
        streams: Our side.

    Returns:
        The exit code; 128 + signal where a signal ended it.

    Raises:
        SSHError: The session was refused, or the connection was lost.
    """
    has_terminal = os.isatty(streams.stdin)
    with contextlib.closing(channel), contextlib.ExitStack() as stack:
        try:
            if has_terminal:
                size = os.get_terminal_size(streams.stdin)
                term = os.environ.get("TERM") or _FALLBACK_TERM
                channel.get_pty(term, size.columns, size.lines)
            if command is None:
                channel.invoke_shell()
            else:
                channel.exec_command(command)
        except FAILURES as error:
            raise translate(error, guest) from error
        resized = None
        if has_terminal:
            resized = stack.enter_context(resize_signal())
            stack.enter_context(raw_mode(streams.stdin))
        _Pump(channel, streams, resized).run()
        code = channel.exit_status
    if code < 0:
        raise SSHError(f"{guest}: the connection was lost")
    return int(code)


class _Pump:
    """Moves bytes both ways until the guest's side ends."""

    def __init__(self, channel: paramiko.Channel, streams: Streams, resized: int | None) -> None:
        self._channel = channel
        self._streams = streams
        self._resized = resized
        self._pending = b""
        """Input that was read and for which the guest had no room yet."""
        self._reading = True

    def run(self) -> None:
        """Return when the guest's side has ended and all its output is written."""
        self._channel.setblocking(0)
        while True:
            ended = self._channel.closed or (
                self._channel.eof_received and self._channel.status_event.is_set()
            )
            self._pass_output()
            if ended:
                return
            ready = self._wait()
            if self._resized in ready:
                self._pass_size(ready)
            if self._streams.stdin in ready:
                self._read_input()
            self._pass_input()

    def _wait(self) -> set[int]:
        """Wait until something can be done; returns the descriptors that are ready."""
        poll = select.poll()  # unlike epoll it takes regular files
        seconds = None
        if self._reading and not self._pending:
            poll.register(self._streams.stdin, select.POLLIN)
        if self._resized is not None:
            poll.register(self._resized, select.POLLIN)
        if self._pending:
            seconds = _RETRY_SECONDS
        if self._channel.eof_received:  # its descriptor is ready for ever now
            seconds = _RETRY_SECONDS
        else:
            poll.register(self._channel.fileno(), select.POLLIN)
        return {fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)}

    def _pass_output(self) -> None:
        while self._channel.recv_ready():
            write_all(self._streams.stdout, self._channel.recv(CHUNK))
        while self._channel.recv_stderr_ready():
            write_all(self._streams.stderr, self._channel.recv_stderr(CHUNK))

    def _read_input(self) -> None:
        self._pending = read_keys(self._streams.stdin)
        self._reading = bool(self._pending)

    def _pass_input(self) -> None:
        try:
            if self._pending:
                self._pending = self._pending[self._channel.send(self._pending) :]
            if not self._reading and not self._pending and not self._channel.eof_sent:
                self._channel.shutdown_write()
        except TimeoutError:
            return  # no room yet
        except OSError:
            self._pending = b""  # closed: the next round of run() sees it
            self._reading = False

    def _pass_size(self, ready: set[int]) -> None:
        assert self._resized in ready
        os.read(self._resized, CHUNK)
        size = os.get_terminal_size(self._streams.stdin)
        self._channel.resize_pty(size.columns, size.lines)
