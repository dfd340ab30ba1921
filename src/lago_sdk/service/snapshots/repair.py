"""Ending what somebody began who was killed: a snapshot is undone, the rest is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.events import Note, stage
from lago_sdk.service.snapshots.create import undo_create
from lago_sdk.service.snapshots.delete import finish_delete
from lago_sdk.service.snapshots.revert import revert_snapshots
from lago_sdk.service.snapshots.store import SnapshotStore

if TYPE_CHECKING:
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.store import Pending


def repair(context: PrefixContext, *, reverts: bool = True) -> None:
    """End what was cut off; nothing happens where nothing was.

    Args:
        context: The prefix; its lock is held.
        reverts: Whether a revert is tried again; it need not be where another one follows.
    """
    store = SnapshotStore(context.layout, context.world.files)
    pending = store.find_pending()
    if pending is None:
        return
    text = f"a {_WORDS[pending.action]} of {pending.name!r} was cut off"
    with stage(context.world.observe, "repair", text):
        if pending.action == "delete":
            finish_delete(context, store, pending.name, pending.vms)
        elif pending.action == "create":
            _end_create(context, store, pending)
        else:
            _end_revert(context, store, pending, again=reverts)


def try_to_repair(context: PrefixContext) -> None:
    """End what was cut off, before something that does not need it; what fails is told."""
    try:
        repair(context)
    except (LagoError, ExceptionGroup) as error:
        text = f"what was done to snapshots could not be ended, and is tried again later: {error}"
        context.world.observe(Note(message=text, warning=True))


_WORDS = {"create": "snapshot", "revert": "revert", "delete": "deletion"}


def _end_create(context: PrefixContext, store: SnapshotStore, pending: Pending) -> None:
    known = store.find(pending.name)
    if known is not None and pending.vms.keys() <= known.vms.keys():
        store.save_heads({**store.get_heads(), **dict.fromkeys(pending.vms, pending.name)})
        store.end()
    else:
        undo_create(context, store, pending.name, pending.vms)


def _end_revert(
    context: PrefixContext, store: SnapshotStore, pending: Pending, *, again: bool
) -> None:
    known = store.find(pending.name)
    # Not for ever: what cannot be had is told, and the prefix is as it is.
    store.end()
    if not again or known is None:
        return
    message = f"the revert to {pending.name!r} was cut off, and is done again"
    context.world.observe(Note(message=message))
    revert_snapshots(context, pending.name, tuple(pending.vms))
