"""Single keys of a terminal, without the Enter key."""

import os
import select
import sys
import time
from types import TracebackType
from typing import Self


class Keys:
    """Takes keys as they are pressed, for a ``with`` block; none where there is no terminal."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._saved: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        """Have the terminal hand over keys at once, and not show them."""
        if self._descriptor is not None:
            import termios
            import tty

            self._saved = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        if self._descriptor is not None and self._saved is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def wait(self, seconds: float) -> str:
        """Wait for a key for some seconds; returns it, or nothing."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        return os.read(self._descriptor, 64).decode(errors="replace") or "q"
