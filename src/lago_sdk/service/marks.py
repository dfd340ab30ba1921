"""What snapshots want to know at each use and change of a prefix; costs next to nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lago_sdk.service.layout import PrefixLayout


def note_use(layout: PrefixLayout, vm: str) -> None:
    """Note that somebody uses *vm*: it is not clean any more."""
    with suppress(OSError):
        os.unlink(f"{layout.clean_marks}/{vm}.json")  # noqa: PTH108 - no path objects a command


def note_change(layout: PrefixLayout) -> None:
    """Note that the prefix is being changed: none of its VMs is clean any more."""
    if layout.clean_marks.is_dir():
        for path in layout.clean_marks.iterdir():
            with suppress(OSError):
                path.unlink()


def has_pending(layout: PrefixLayout) -> bool:
    """Whether somebody was killed while he worked at snapshots."""
    return (layout.snapshots / "pending.json").exists()
