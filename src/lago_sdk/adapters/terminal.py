"""Our own terminal: raw for a while, told of new sizes, attached to a stream."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import termios
import threading
import tty
from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

CHUNK = 32_768
"""Bytes that are moved at once."""
_ESCAPE = b"\x1d"
"""Control and ]: leaves a console, as in virsh and telnet."""


@attrs.frozen(kw_only=True)
class Streams:
    """The descriptors that stand for our side."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2
    """Unused with a terminal, where the other side has but one stream."""


STANDARD = Streams()


class ReadableStream(Protocol):
    """What `attach_stream` needs of a stream."""

    def fileno(self) -> int:
        """A descriptor that is readable where `read` would return at once."""

    def read(self, timeout: float) -> bytes:
        """Return what came in and was not read yet."""

    def write(self, data: bytes) -> None:
        """Send *data*."""


@contextlib.contextmanager
def raw_mode(fd: int) -> Iterator[None]:
    """Have the terminal pass every key as it is, for the block."""
    saved = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, saved)


@contextlib.contextmanager
def resize_signal() -> Iterator[int | None]:
    """Yield a descriptor that is readable after SIGWINCH; ``None`` outside the main thread.

    The handler writes into a pipe and does no more: locks may be held by the very thread that
    it interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def tell(_signal: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"!")

    previous = signal.signal(signal.SIGWINCH, tell)
    try:
        yield reader
    finally:
        signal.signal(signal.SIGWINCH, previous)
        os.close(reader)
        os.close(writer)


def read_keys(fd: int) -> bytes:
    """Read what was typed; empty at its end, and where the terminal's other end is gone."""
    try:
        return os.read(fd, CHUNK)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return b""


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*."""
    while data:
        data = data[os.write(fd, data) :]


def attach_stream(stream: ReadableStream, *, streams: Streams = STANDARD) -> None:
    """Attach our terminal to *stream* until the user presses the escape key (``^]``).

    Raises:
        LagoError: Our standard input is not a terminal.
        HypervisorError: The stream ended; see its `read`.
    """
    if not os.isatty(streams.stdin):
        raise LagoError("a console needs a terminal on standard input", hint="show its log instead")
    with raw_mode(streams.stdin):
        while True:
            ready, _, _ = select.select([streams.stdin, stream.fileno()], [], [])
            if stream.fileno() in ready:
                write_all(streams.stdout, stream.read(0))
            if streams.stdin in ready:
                typed = read_keys(streams.stdin)
                before, escape, _ = typed.partition(_ESCAPE)
                if before:
                    stream.write(before)
                if escape or not typed:
                    return
