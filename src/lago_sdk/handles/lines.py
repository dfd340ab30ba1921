"""The lines that a command in a guest writes, as they come."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lago_sdk.errors import CommandError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from lago_sdk.ports import GuestStream

_CHUNK = 65_536
"""Bytes that are taken at once, of those that are there."""


class GuestLines:
    """An iterator over the lines of a command's standard output; get it from `VM.ssh_lines`.

    The command runs until its end was read, or until nobody wants more of it: when the object
    is closed, its ``with`` block ends, or it is forgotten, the command and its children are
    sent SIGTERM. It may be used by one thread at a time.

    Args:
        opening: Starts the command.
        check: Whether a command that fails raises at its end.
    """

    def __init__(self, opening: AbstractContextManager[GuestStream], *, check: bool) -> None:
        self._stack = ExitStack()
        self._check = check
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []
        self._stream = self._stack.enter_context(opening)

    @property
    def code(self) -> int | None:
        """The exit code; ``None`` before the last line was read."""
        return self._stream.code

    @property
    def err(self) -> str:
        """What the command wrote to standard error so far: the last 64 KiB."""
        return self._stream.err

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Wait for the next line and return it, without its line end.

        Raises:
            StopIteration: The command has ended.
            CommandError: It has ended, and failed.
            CommandTimeoutError: It did not end in time.
            SSHError: The connection broke.
        """
        while not self._lines and self._stream.code is None:
            self._receive()
        if self._lines:
            return self._lines.popleft().decode("utf-8", errors="replace")
        self.close()
        code = self._stream.code
        if self._check and code:
            self._check = False
            raise CommandError(self._stream.command, code, "", self._stream.err)
        raise StopIteration

    def close(self) -> None:
        """End the command where it still runs; may be called again."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """End a command that is forgotten, as after a loop that was left."""
        if not sys.is_finalizing():  # then nobody would hear an answer
            self.close()

    def _receive(self) -> None:
        try:
            chunk = self._stream.read(_CHUNK)
        except BaseException:
            self.close()
            raise
        if chunk and b"\n" not in chunk:
            self._rest.append(chunk)
            return
        *lines, rest = b"".join([*self._rest, chunk]).split(b"\n")
        self._rest = [rest] if rest else []
        self._lines.extend(lines)
        if not chunk and rest:
            self._lines.append(rest)
            self._rest = []
