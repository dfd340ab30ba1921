"""Fetching what the init file names by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.events import Progress, stage

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.service.world import World

_STAGE = "download"
_STEP = 8 << 20
"""Bytes between two reports of progress."""


def fetch_url(url: str, path: Path, *, subject: str, world: World) -> None:
    """Fetch *url* to *path*, whole or not at all, and tell how far it has come.

    Args:
        url: What to fetch.
        path: Where it goes.
        subject: The VM it is for.
        world: The ports.

    Raises:
        LagoError: It cannot be had.
    """
    told = 0

    def tell(done: int, total: int | None) -> None:
        nonlocal told
        if done - told >= _STEP or done == total:
            told = done
            world.observe(Progress(stage=_STAGE, subject=subject, done=done, total=total))

    with stage(world.observe, _STAGE, subject) as running:
        running.tell(url)
        world.download(url, path, progress=tell)
