"""A clock that nobody waits for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeClock:
    """A `lago_sdk.ports.Clock` that sleeping sets forward; safe to use from several threads.

    Args:
        now: Seconds that it shows first.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._mutex = threading.RLock()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        with self._mutex:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Set the clock forward, and do what was put off until then."""
        with self._mutex:
            self._now += seconds
            due = [action for when, action in self._later if when <= self._now]
            self._later = [(when, action) for when, action in self._later if when > self._now]
        for action in due:
            action()

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Have *action* called by the sleep that passes *seconds* from now."""
        with self._mutex:
            self._later.append((self._now + seconds, action))
            self._later.sort(key=lambda entry: entry[0])
