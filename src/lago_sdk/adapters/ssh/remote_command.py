"""A command in a guest as seen from our end of its channel: begun, fed, interrupted, closed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.failures import FAILURES
from lago_sdk.errors import CommandTimeoutError, SSHError

if TYPE_CHECKING:
    from collections.abc import Callable

    import paramiko

    from lago_sdk.adapters.ssh.transport import Transport
    from lago_sdk.ports import Readable

QUIET_SECONDS = 2.0
"""A command whose exit code is there is over after such a silence, even where something that it
left in the background still holds its output open."""
_ALL = 1 << 30
"""More than a channel ever holds."""
_PACKET = 32_768
"""Bytes of input a write: what fits into one ssh packet."""
_CHUNK = 1 << 20
"""Bytes of input that are read at once from a file."""
_WRITER_LOOKS = 0.2
"""Seconds after which a writer that waits for room looks whether it is still wanted."""


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


class RemoteCommand:
    """What commands whose output is kept and commands whose output is streamed have in common.

    Args:
        channel: A new session.
        transport: The connection it belongs to.
        guest: Name of the VM, for messages.
        command: The command as the user gave it, for messages.
    """

    def __init__(
        self, channel: paramiko.Channel, transport: Transport, *, guest: str, command: str
    ) -> None:
        self._channel = channel
        self._transport = transport
        self._guest = guest
        self._command = command
        self._unwanted = threading.Event()
        self._writer: threading.Thread | None = None
        self._sending = threading.Lock()
        """Held while the writer is inside paramiko, where it may hold the connection's lock."""
        self._input_error: Exception | None = None
        self._news = _News()
        # fileno() would do, at the price of a pipe for each command.
        channel.in_buffer.set_event(self._news)
        channel.in_stderr_buffer.set_event(self._news)

    def start(self, line: str, data: bytes | Readable | None) -> None:
        """Send the command *line* and begin to send its input.

        Raises:
            SSHError: The connection broke; the command may have started.
        """
        try:
            self._channel.settimeout(_WRITER_LOOKS)
            text = line.encode("utf-8", "surrogateescape")  # names of files may be no text
            self._transport.send_request(self._channel, "exec", text, want_reply=True)
            if not data:
                self._channel.shutdown_write()
        except FAILURES as error:
            raise self._lost() from error
        if data:
            self._writer = threading.Thread(
                target=self._feed, args=(data,), name=f"ssh-input-{self._guest}", daemon=True
            )
            self._writer.start()

    def close(self) -> None:
        """Close the channel; a writer that is still at it does so itself when it notices."""
        self._unwanted.set()
        if self._writer is None or not self._writer.is_alive():
            _close(self._channel)
        elif self._sending.acquire(timeout=2 * _WRITER_LOOKS):
            try:
                _close(self._channel)
            finally:
                self._sending.release()

    def _has_ended(self) -> bool:
        channel = self._channel
        return bool(channel.closed or (channel.eof_received and channel.status_event.is_set()))

    def _is_over(self, last_output: float) -> bool:
        """Whether it has exited, and what it left behind has been silent since *last_output*."""
        quiet = time.monotonic() - last_output >= QUIET_SECONDS
        return quiet and self._channel.status_event.is_set()

    def _take_output(self) -> bytes:
        """Return the output that is there; none where there is none.

        Raises:
            SSHError: The connection broke: taking something tells the guest of the room.
        """
        try:
            return self._channel.recv(_ALL) if self._channel.recv_ready() else b""
        except FAILURES as error:
            raise self._lost() from error

    def _take_errors(self) -> bytes:
        """Return the error output that is there, as `_take_output` does."""
        try:
            return self._channel.recv_stderr(_ALL) if self._channel.recv_stderr_ready() else b""
        except FAILURES as error:
            raise self._lost() from error

    def _wait_for_news(self, deadline: Deadline) -> bool:
        """Wait until there may be output, for a while; ``False`` when the deadline has passed.

        Raises:
            Exception: What reading the input raised.
        """
        if self._input_error is not None:
            self._interrupt()
            raise self._input_error
        left = deadline.left()
        if left == 0.0:
            self._interrupt()
            return False
        self._news.wait(QUIET_SECONDS if left is None else min(left, QUIET_SECONDS))
        return True

    def _feed(self, data: bytes | Readable) -> None:
        """Send the input; in a thread of its own, so that output is read meanwhile."""
        try:
            if isinstance(data, bytes):
                self._send(data)
            else:
                # A buffered file's read() would wait for all of a chunk.
                read: Callable[[int], bytes] = getattr(data, "read1", data.read)
                while not self._unwanted.is_set() and (chunk := read(_CHUNK)):
                    if not self._send(chunk):
                        return
        except Exception as error:  # noqa: BLE001 - the caller's file: raised in the caller's thread
            self._input_error = error
            self._news.set()
            return
        with self._sending:
            try:
                if self._unwanted.is_set():
                    self._channel.close()
                else:
                    self._channel.shutdown_write()
            except FAILURES:
                return

    def _send(self, data: bytes) -> bool:
        """Send *data*; returns whether all of it went."""
        view = memoryview(data)
        sent = 0
        while sent < len(view):
            packet = bytes(view[sent : sent + _PACKET])
            with self._sending:
                if self._unwanted.is_set():
                    return False
                try:
                    count = self._channel.send(packet)
                except TimeoutError:
                    continue
                except FAILURES:
                    return False  # the reader learns why
            if count == 0:
                return False
            sent += count
        return True

    def _interrupt(self) -> None:
        """Ask the server to end the command: a closed channel alone does not."""
        if not self._sending.acquire(timeout=2 * _WRITER_LOOKS):
            return  # the writer may hold the connection's write lock
        try:
            self._transport.send_request(self._channel, "signal", "TERM", want_reply=False)
        except FAILURES:
            return
        finally:
            self._sending.release()

    def _timed_out(self, deadline: Deadline, out: str, err: str) -> CommandTimeoutError:
        message = f"{self._guest}: {self._command!r} did not end within {deadline}"
        return CommandTimeoutError(message, command=self._command, out=out, err=err)

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
