"""Fetching what the init file names by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.events import report_bytes, stage

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.service.world import World

_STAGE = "download"


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
    tell = report_bytes(world.observe, _STAGE, subject)
    with stage(world.observe, _STAGE, subject) as running:
        running.tell(url)
        world.download(url, path, progress=tell)
