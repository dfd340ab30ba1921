"""Events of the library as plain lines on standard error.

On a terminal a last line, which is written over and over, tells how far long work has come.
"""

import os
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

import typer

from lago_cli.output import paint

if TYPE_CHECKING:
    from lago_cli.bar import Bars
    from lago_sdk import Event, Note, Progress, StageFailed, StageFinished, StageStarted

_LEVELS = ("debug", "info", "warning", "error")
_REDRAW_SECONDS = 0.1
_ERASE = "\r\x1b[2K"
"""Back to the begin of the line, and clear it (ECMA-48: CR, EL)."""


class ProgressLines:
    """An observer that writes a line for each stage that ends, and for each note once.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``: what is less is left out.
        depth: How deep nested stages are told; -1 is all of them.
    """

    def __init__(self, *, level: str = "info", depth: int = -1) -> None:
        self._level = _LEVELS.index(level)
        self._depth = depth
        self._lock = threading.Lock()
        self._nesting = threading.local()
        self._told: set[str] = set()
        self._bars: Bars | None = None
        self._is_drawn = False
        self._drawn_at = float("-inf")

    def configure(self, *, level: str, depth: int) -> None:
        """Change what is told."""
        self._level = _LEVELS.index(level)
        self._depth = depth

    @property
    def is_debug(self) -> bool:
        """Whether everything is told."""
        return self._shows("debug")

    def say(self, message: str) -> None:
        """Write a line of our own."""
        if self._shows("info"):
            self._write(message)

    def __call__(self, event: "Event", /) -> None:
        """Take note of *event*."""
        from lago_sdk import Note, Progress, StageFailed, StageFinished, StageStarted

        if isinstance(event, (StageFinished, StageFailed)):
            self._drop_progress(event.stage, event.subject)
        if isinstance(event, Progress):
            self._progressed(event)
        elif isinstance(event, StageStarted):
            self._started(event)
        elif isinstance(event, StageFinished):
            self._finished(event)
        elif isinstance(event, StageFailed):
            self._failed(event)
        elif isinstance(event, Note):
            self._noted(event)
        elif self._shows("info"):
            self._write(f"{paint(f'{event.subject} |', 'cyan', stream=sys.stderr)} {event.line}")

    def _started(self, event: "StageStarted") -> None:
        self._nesting.depth = self._level_of_nesting() + 1
        if self._shows("debug"):
            self._write(f"[..] {_title(event)}")

    def _finished(self, event: "StageFinished") -> None:
        depth = self._leave()
        if self._shows("info") and (self._depth < 0 or depth <= self._depth):
            mark = paint("[ok]", "green", stream=sys.stderr)
            detail = f": {event.detail}" if event.detail else ""
            self._write(f"{mark} {_title(event)}{detail} ({event.seconds:.2f} s)")

    def _failed(self, event: "StageFailed") -> None:
        self._leave()
        if self._shows("error"):
            mark = paint("[!!]", "red", stream=sys.stderr)
            self._write(f"{mark} {_title(event)} failed after {event.seconds:.2f} s")

    def _noted(self, event: "Note") -> None:
        with self._lock:
            known = event.message in self._told
            self._told.add(event.message)
        if not known and self._shows("warning" if event.warning else "info"):
            kind = "warning" if event.warning else "note"
            color = "yellow" if event.warning else "cyan"
            self._write(f"{paint(f'{kind}:', color, stream=sys.stderr)} {event.message}")
            if event.detail and self.is_debug:
                self._write(event.detail.rstrip())

    def _shows(self, level: str) -> bool:
        return self._level <= _LEVELS.index(level)

    def _level_of_nesting(self) -> int:
        """How many stages of this thread are open; worker threads start from 0."""
        depth: int = getattr(self._nesting, "depth", 0)
        return depth

    def _leave(self) -> int:
        depth = self._level_of_nesting()
        self._nesting.depth = max(depth - 1, 0)
        return depth

    def end_progress(self) -> None:
        """Take away the line that tells of work under way, for good."""
        with self._lock:
            if self._bars is not None:
                self._bars.clear()
                self._draw()

    def _progressed(self, event: "Progress") -> None:
        if not self._shows("info") or not _is_screen():
            return
        from lago_cli.bar import Bars

        with self._lock:
            if self._bars is None:
                self._bars = Bars()
            self._bars.note(event)
            is_done = event.total is not None and event.done >= event.total
            if is_done or time.monotonic() - self._drawn_at >= _REDRAW_SECONDS:
                self._draw()

    def _drop_progress(self, stage: str, subject: str) -> None:
        with self._lock:
            if self._bars is not None and self._bars.drop(stage, subject):
                self._draw()

    def _draw(self) -> None:
        """Write the last line anew, or take it away; the lock is held."""
        text = "" if self._bars is None else self._bars.text(shutil.get_terminal_size().columns - 1)
        if text or self._is_drawn:
            typer.echo(_ERASE + text, err=True, nl=False)
            self._drawn_at = time.monotonic()
        self._is_drawn = bool(text)

    def _write(self, line: str) -> None:
        with self._lock:
            if self._is_drawn:
                typer.echo(_ERASE, err=True, nl=False)
            typer.echo(line, err=True)
            self._is_drawn = False
            self._draw()


def _is_screen() -> bool:
    """Whether what is written on standard error can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _title(event: "StageStarted | StageFinished | StageFailed") -> str:
    return f"{event.stage} {event.subject}".rstrip()
