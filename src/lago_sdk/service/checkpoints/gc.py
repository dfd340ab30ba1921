"""Removing checkpoints: the least recently used first, by age and by size.

Nobody is harmed by it: labs have what they need of a checkpoint as files of their own (by hard
links, so that nothing is there twice), and a lab that finds none boots.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, suggest
from lago_sdk.events import Note, ignore
from lago_sdk.service.checkpoints.model import SHORT, Checkpoint, CheckpointGarbage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.events import Observer
    from lago_sdk.service.checkpoints.store import CheckpointStore


def collect_checkpoints(
    store: CheckpointStore,
    *,
    older_than: float | None,
    max_size: int | None,
    is_dry: bool = False,
    observer: Observer = ignore,
) -> CheckpointGarbage:
    """Remove checkpoints, and what killed processes left behind.

    Args:
        store: The checkpoints.
        older_than: Remove those last used more seconds ago than that; ``None`` is no limit.
        max_size: Remove the least recently used until all take at most so many bytes on the
            disk; ``None`` is no limit.
        is_dry: Only say what would be removed.
        observer: Told of each removal.
    """
    found = store.list()
    chosen = choose_garbage(found, older_than=older_than, max_size=max_size, now=time.time())
    if not is_dry:
        with suppress(LagoError):
            store.clear_leftovers()
        for checkpoint in chosen:
            store.remove(checkpoint.key)
            observer(Note(message=f"removed the checkpoint {checkpoint.key[:SHORT]}"))
    kept = tuple(checkpoint for checkpoint in found if checkpoint not in chosen)
    return CheckpointGarbage(removed=chosen, kept=kept, is_dry=is_dry)


def choose_garbage(
    found: Iterable[Checkpoint], *, older_than: float | None, max_size: int | None, now: float
) -> tuple[Checkpoint, ...]:
    """Choose checkpoints to remove, the least recently used first; pure.

    Damaged ones, which were never used as far as anybody knows, are the first.
    """
    left = sorted(found, key=lambda x: (x.last_used, x.key))
    size = sum(checkpoint.disk_usage for checkpoint in left)
    chosen = []
    for checkpoint in left:
        is_old = older_than is not None and now - checkpoint.last_used > older_than
        if not is_old and (max_size is None or size <= max_size):
            break
        chosen.append(checkpoint)
        size -= checkpoint.disk_usage
    return tuple(chosen)


def find_checkpoint(store: CheckpointStore, key: str) -> Checkpoint:
    """Return the checkpoint whose key begins with *key*.

    Raises:
        LagoError: There is none, or more than one.
    """
    found = store.list()
    matching = [checkpoint for checkpoint in found if key and checkpoint.key.startswith(key)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(checkpoint.key[:SHORT] for checkpoint in matching)
        raise LagoError(f"{key!r} begins the keys of several checkpoints: {names}")
    hint = suggest(key, [checkpoint.key[:SHORT] for checkpoint in found])
    raise LagoError(f"there is no checkpoint {key!r}", hint=hint or "lagoctl cache list")
