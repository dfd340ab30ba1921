"""How far long work has come, as one line of a terminal that is written over and over."""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from lago_cli.units import format_duration, format_size

if TYPE_CHECKING:
    from lago_sdk import Progress

_WINDOW = 5.0
"""Seconds that count for the rate."""


class Meter:
    """How fast one piece of work gets on.

    Args:
        clock: Tells seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self.total: int | None = None
        self.done = 0
        self._told_rate: float | None = None

    def note(self, event: "Progress") -> None:
        """Take note of how far it is."""
        now = self._clock()
        if event.done < self.done:  # begun anew
            self._samples.clear()
        self.done, self.total, self._told_rate = event.done, event.total, event.rate
        self._samples.append((now, event.done))
        while len(self._samples) > 2 and self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes per second lately; ``None`` when there is no telling yet."""
        if self._told_rate is not None:
            return self._told_rate
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - begin) if end > begin else None

    @property
    def percent(self) -> str:
        """How much is done; in bytes where the whole is not known."""
        return f"{100 * self.done // self.total} %" if self.total else format_size(self.done)

    def describe(self) -> str:
        """Say how much is done, how fast it goes and how long it will take."""
        parts = [self.percent]
        if self.total:
            parts.append(f"{format_size(self.done)} of {format_size(self.total)}")
        rate = self.rate
        if rate:
            parts.append(f"{format_size(rate)}/s")
            if self.total:
                parts.append(f"{format_duration((self.total - self.done) / rate)} left")
        return "  ".join(parts)


class Bars:
    """All the work that is under way.

    Args:
        clock: Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meters: dict[tuple[str, str], Meter] = {}

    def note(self, event: "Progress") -> None:
        """Take note of an event; work that is done is forgotten."""
        key = (event.stage, event.subject)
        if event.total is not None and event.done >= event.total:
            self._meters.pop(key, None)
            return
        if key not in self._meters:
            self._meters[key] = Meter(self._clock)
        self._meters[key].note(event)

    def drop(self, stage: str, subject: str) -> bool:
        """Forget work that has ended; returns whether there was any."""
        return self._meters.pop((stage, subject), None) is not None

    def clear(self) -> None:
        """Forget everything."""
        self._meters.clear()

    def text(self, width: int) -> str:
        """Return one line of at most *width* characters; empty when nothing is under way."""
        if len(self._meters) == 1:
            ((stage, subject), meter) = next(iter(self._meters.items()))
            line = f"{stage} {subject}".rstrip() + f"  {meter.describe()}"
        else:
            line = "  ".join(
                f"{subject or stage} {meter.percent}"
                for (stage, subject), meter in self._meters.items()
            )
        return line if len(line) <= width else f"{line[: width - 1]}…"
