"""The journal of a prefix: what was about to be done, and whether it was.

Every step is written down before it acts and again when it has ended, so that after a power
cut or ``kill -9`` anybody can see where the work stood. Recovery itself needs no replay: all
steps are idempotent, ``start`` repeats them and ``destroy`` undoes whatever is there.

A record is a line of JSON: ``{"id": 3, "begin": "create disk", "subject": "web/root", "at": …}``
opens a step, ``{"id": 3, "end": "done" | "failed"}`` closes it. A last line that is cut off
is what a crash leaves and is ignored.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@attrs.frozen(kw_only=True)
class Intent:
    """A step that was begun and has no end on record."""

    step: str
    subject: str
    at: float
    """Seconds since the epoch."""


class Journal:
    """Appends to the journal of one prefix; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._last_id = 0

    @contextmanager
    def step(self, step: str, subject: str = "") -> Iterator[None]:
        """Record the intent, run the block, record its end."""
        number = self._begin(step, subject)
        try:
            yield
        except BaseException:
            self._append({"id": number, "end": "failed"})
            raise
        self._append({"id": number, "end": "done"})

    def list_open(self) -> tuple[Intent, ...]:
        """Return the steps that were cut off, oldest first."""
        begun: dict[int, Intent] = {}
        for record in self._read():
            number = record["id"]
            if "begin" in record:
                begun[number] = Intent(
                    step=record["begin"], subject=record["subject"], at=record["at"]
                )
            else:
                begun.pop(number, None)
        return tuple(begun.values())

    def clear(self) -> None:
        """Forget everything: the prefix is in a state that needs no history."""
        with self._mutex:
            self._path.unlink(missing_ok=True)

    def _begin(self, step: str, subject: str) -> int:
        with self._mutex:
            # Ids only tell a begin from its end; time keeps them apart between processes.
            self._last_id = max(self._last_id + 1, time.time_ns())
            number = self._last_id
        self._append({"id": number, "begin": step, "subject": subject, "at": round(time.time(), 3)})
        return number

    def _append(self, record: dict[str, object]) -> None:
        line = json.dumps(record, separators=(",", ":")) + "\n"
        with self._mutex:
            # The directory is gone once destroy has removed it; nobody is left to read this.
            if not self._path.parent.is_dir():
                return
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            try:
                os.write(descriptor, line.encode())
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue
