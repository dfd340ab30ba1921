"""Locks of a store; who waits for one is shown how far its holder has come.

Beside a lock file lies, while there is something to tell, ``<lock>.progress``: the holder's last
`Progress` as JSON. It is a courtesy only: lost or stale, it does no harm.
"""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import lock, write_atomic
from lago_sdk.errors import LagoError, LockedError, TemplateError
from lago_sdk.events import Note, Progress
from lago_sdk.templates.shelf import find_write_hint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lago_sdk.events import Event, Observer

_LOOK_SECONDS = 0.25
"""Between two looks at how far the holder of a lock has come."""
_TELL_SECONDS = 0.2
"""Between two notes for those who wait."""
_LOCK_MODE = 0o666
"""Whoever makes a lock file, all who may write to the store must be able to take it."""


@contextmanager
def hold(path: Path, *, purpose: str, observer: Observer) -> Iterator[Observer]:
    """Hold the lock file *path*, however long others hold it first.

    Args:
        path: The lock file; its directory exists.
        purpose: What is done under it, as a verb phrase.
        observer: Told when somebody has to be waited for, and how far they have come.

    Yields:
        An observer to use in the block: it passes events on, and progress to those who wait.

    Raises:
        TemplateError: The lock file cannot be made: the store cannot be written.
    """
    with ExitStack() as stack:
        _acquire(stack, path, purpose, observer)
        shared = _SharedProgress(path, observer)
        stack.callback(shared.forget)
        yield shared


@contextmanager
def hold_briefly(path: Path, *, purpose: str, timeout: float) -> Iterator[None]:
    """Hold the lock file *path*, which nobody holds for long.

    Raises:
        LockedError: Somebody holds it for longer than *timeout* seconds; says who.
        TemplateError: The lock file cannot be made: the store cannot be written.
    """
    with ExitStack() as stack:
        _enter(stack, path, purpose, timeout)
        yield


def _acquire(stack: ExitStack, path: Path, purpose: str, observer: Observer) -> None:
    try:
        _enter(stack, path, purpose, 0)
    except LockedError as error:
        observer(Note(message=f"waiting for {error.holder or error.message}"))
    else:
        return
    seen: Progress | None = None
    while True:
        try:
            _enter(stack, path, purpose, _LOOK_SECONDS)
        except LockedError:
            found = _find_progress(path)
            if found is not None and found != seen:
                seen = found
                observer(found)
        else:
            if seen is not None:  # what was shown is over, however it ended
                observer(attrs.evolve(seen, total=seen.done))
            return


def _enter(stack: ExitStack, path: Path, purpose: str, timeout: float) -> None:
    try:
        stack.enter_context(lock(path, timeout=timeout, purpose=purpose, mode=_LOCK_MODE))
    except LockedError:
        raise
    except LagoError as error:
        message = f"the template store cannot be changed: {error.message}"
        raise TemplateError(message, hint=find_write_hint(error.__cause__) or error.hint) from error


class _SharedProgress:
    """An observer that also writes progress down for those who wait for the lock."""

    def __init__(self, path: Path, observer: Observer) -> None:
        self._path = _progress_path(path)
        self._observer = observer
        self._told = float("-inf")
        self.forget()

    def __call__(self, event: Event, /) -> None:
        self._observer(event)
        if isinstance(event, Progress) and time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            with contextlib.suppress(LagoError):
                write_atomic(self._path, json.dumps(attrs.asdict(event)), durable=False)

    def forget(self) -> None:
        """Remove what was written down."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _progress_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.progress")


def _find_progress(path: Path) -> Progress | None:
    try:
        return Progress(**json.loads(_progress_path(path).read_text()))
    except (OSError, ValueError, TypeError):
        return None
