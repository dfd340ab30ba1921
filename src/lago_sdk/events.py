"""What happens while the library works, as frozen records, and who is told.

A service tells an :class:`Observer` about each stage it enters and leaves. The library itself
never prints: the command line turns the records into lines, a notebook into widgets, a test
into assertions. Observers may be called from several threads at once.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@attrs.frozen(kw_only=True)
class StageStarted:
    """A stage of work has begun."""

    stage: str
    """What is done, as a short verb phrase: ``"create disks"``."""
    subject: str = ""
    """The VM, net or template it is done to; empty for the whole prefix."""


@attrs.frozen(kw_only=True)
class StageFinished:
    """A stage of work has ended well."""

    stage: str
    subject: str = ""
    seconds: float
    """How long it took, in seconds of the monotonic clock."""
    detail: str = ""
    """What came out, in a few words; may be empty."""


@attrs.frozen(kw_only=True)
class StageFailed:
    """A stage of work has ended with an error, which is raised as well."""

    stage: str
    subject: str = ""
    seconds: float
    error: BaseException


@attrs.frozen(kw_only=True)
class Progress:
    """How far a long stage has come."""

    stage: str
    subject: str = ""
    done: int
    """Bytes (or items) done."""
    total: int | None
    """Bytes (or items) in all; ``None`` when not known."""
    rate: float | None = None
    """Bytes (or items) per second lately; ``None`` when not known."""

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate; ``None`` when there is no telling."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.done, 0) / self.rate


@attrs.frozen(kw_only=True)
class Note:
    """Something worth telling that is neither progress nor failure."""

    message: str
    warning: bool = False
    """Whether the user should look at it."""
    detail: str = ""
    """What else there is to know, for who looks for a cause: a traceback; may be empty."""


@attrs.frozen(kw_only=True)
class Output:
    """A line that something which runs for long wrote, as it comes."""

    subject: str
    """The VM it comes from."""
    line: str
    """Without its end."""
    is_error: bool = False
    """Whether it was written to standard error."""


Event: TypeAlias = StageStarted | StageFinished | StageFailed | Progress | Note | Output


class Observer(Protocol):
    """Anything that can be called with an event."""

    def __call__(self, event: Event, /) -> None:
        """Take note of *event*; must be quick and must not raise."""


def ignore(event: Event, /) -> None:
    """The observer that does nothing."""


class Stage:
    """The running stage, for code inside a :func:`stage` block."""

    def __init__(self) -> None:
        self.detail = ""

    def tell(self, detail: str) -> None:
        """Say what came out; shown when the stage ends well."""
        self.detail = detail


_STEP = 8 << 20
"""Bytes between two reports of progress."""


def report_bytes(
    observer: Observer, stage: str, subject: str = ""
) -> Callable[[int, int | None], None]:
    """Return a function that tells *observer* of bytes done and in all, every 8 MiB or so."""
    told = 0

    def tell(done: int, total: int | None) -> None:
        nonlocal told
        if done - told >= _STEP or done == total:
            told = done
            observer(Progress(stage=stage, subject=subject, done=done, total=total))

    return tell


@contextmanager
def stage(observer: Observer, name: str, subject: str = "") -> Iterator[Stage]:
    """Tell *observer* that a stage begins, and when the block ends, how it ended."""
    observer(StageStarted(stage=name, subject=subject))
    begin = time.monotonic()
    running = Stage()
    try:
        yield running
    except BaseException as error:
        seconds = time.monotonic() - begin
        observer(StageFailed(stage=name, subject=subject, seconds=seconds, error=error))
        raise
    seconds = time.monotonic() - begin
    observer(StageFinished(stage=name, subject=subject, seconds=seconds, detail=running.detail))
