"""Putting old output aside before new output takes its name."""

from __future__ import annotations

import time
from pathlib import Path

from lago_sdk.errors import LagoError


def check_target(target: Path, prefix: Path) -> None:
    """Return when *target* may be put aside: nothing that is in use is in it.

    Raises:
        LagoError: We run in it, or the prefix is in it.
    """
    real = target.resolve()
    for used, what in ((Path.cwd(), "the current directory"), (prefix, "the prefix")):
        if target.exists() and used.resolve().is_relative_to(real):
            raise LagoError(
                f"the output cannot go to {str(target)!r}: {what} is there",
                hint="name a directory that is not there yet",
            )


def rotate(target: Path) -> Path | None:
    """Give what is at *target* another name, with the time; returns that, ``None`` for nothing.

    An empty directory is left as it is.

    Raises:
        LagoError: It cannot be renamed.
    """
    try:
        if not target.exists() and not target.is_symlink():
            return None
        if target.is_dir() and not any(target.iterdir()):
            return None
        base = f"{target.name}.{time.strftime('%Y%m%d-%H%M%S')}"
        aside, number = target.with_name(base), 2
        while aside.exists():
            aside, number = target.with_name(f"{base}-{number}"), number + 1
        target.rename(aside)
    except OSError as error:
        raise LagoError(
            f"the old output in {str(target)!r} cannot be put aside: {error.strerror}",
            hint="take another directory",
        ) from error
    return aside
