"""Copying files and directories between the host and guests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.events import Note, Progress, stage
from lago_sdk.service.guests.reach import check_reachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from lago_sdk.events import Observer
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Skipped
    from lago_sdk.service.context import PrefixContext

    HostPath: TypeAlias = str | os.PathLike[str]

_STEP_SECONDS = 0.2
"""Between two reports of progress."""
_RATE_SECONDS = 2.0
"""What the rate is the mean of, about."""
_MB = 1_000_000
_TOLD = 10
"""How many of the things that were left out are told one by one."""


class Meter:
    """Tells an observer how far a copy has come, a few times a second.

    Args:
        observe: Who is told.
        stage: What is done.
        subject: The VM.
    """

    def __init__(self, observe: Observer, *, stage: str, subject: str) -> None:
        self._observe = observe
        self._stage = stage
        self._subject = subject
        self._told_at = time.monotonic()
        self._told = 0
        self._rate: float | None = None
        self.done = 0
        """Bytes so far."""

    def __call__(self, done: int, total: int | None) -> None:
        """Take note of how many bytes are done, and of how many there are."""
        self.done = done
        now = time.monotonic()
        seconds = now - self._told_at
        if seconds < _STEP_SECONDS and done != total:
            return
        if seconds > 0:
            rate = (done - self._told) / seconds
            weight = min(seconds / _RATE_SECONDS, 1.0)
            self._rate = rate if self._rate is None else self._rate + (rate - self._rate) * weight
        self._told_at, self._told = now, done
        self._observe(
            Progress(
                stage=self._stage, subject=self._subject, done=done, total=total, rate=self._rate
            )
        )


def copy_to(
    vm: VMPlan, context: PrefixContext, sources: Sequence[HostPath], target: str, *, follow: bool
) -> tuple[Skipped, ...]:
    """Copy files and directories of the host to the guest of *vm*.

    Raises:
        LagoError: See `lago_sdk.VM.copy_to`.
    """
    paths = [os.fsdecode(source) for source in sources]
    _check(paths)
    check_reachable(vm, context)
    observe = context.world.observe
    with stage(observe, "copy to", vm.name) as running:
        meter = Meter(observe, stage="copy to", subject=vm.name)
        guest = context.guests.get(vm)
        skipped = guest.copy_to(paths, target, follow=follow, on_progress=meter)
        running.tell(_describe(meter.done))
    _tell_skipped(skipped, observe)
    return skipped


def copy_from(
    vm: VMPlan, context: PrefixContext, sources: Sequence[str], target: HostPath, *, follow: bool
) -> tuple[Skipped, ...]:
    """Copy files and directories of the guest of *vm* to the host.

    Raises:
        LagoError: See `lago_sdk.VM.copy_from`.
    """
    _check(sources)
    check_reachable(vm, context)
    text = os.fsdecode(target)
    path = Path(text)
    if text.endswith("/") and not path.is_dir():
        raise LagoError(f"there is no directory {text!r} on this machine")
    observe = context.world.observe
    with stage(observe, "copy from", vm.name) as running:
        meter = Meter(observe, stage="copy from", subject=vm.name)
        guest = context.guests.get(vm)
        skipped = guest.copy_from(list(sources), path, follow=follow, on_progress=meter)
        running.tell(_describe(meter.done))
    _tell_skipped(skipped, observe)
    return skipped


def _check(sources: Sequence[str]) -> None:
    if not sources:
        raise LagoError("nothing was named to copy")
    for source in sources:
        if not source or "\0" in source:
            raise LagoError(f"{source!r} cannot be a path")


def _describe(size: int) -> str:
    if size < _MB:
        return f"{size:,} bytes"
    return f"{size / _MB:,.1f} MB"


def _tell_skipped(skipped: Sequence[Skipped], observe: Observer) -> None:
    for item in skipped[:_TOLD]:
        observe(Note(message=f"not copied: {item.path!r}: {item.reason}", warning=True))
    if len(skipped) > _TOLD:
        observe(Note(message=f"not copied: {len(skipped) - _TOLD} more", warning=True))
