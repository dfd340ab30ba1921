"""Deleting snapshots; in any order, for none needs another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import VMNotFoundError
from lago_sdk.events import stage
from lago_sdk.service.snapshots.capture import remove_kept
from lago_sdk.service.snapshots.revert import select_kept
from lago_sdk.service.snapshots.store import Pending, SnapshotStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.model import VMSnapshot


def delete_snapshots(
    context: PrefixContext, name: str, names: Iterable[str] | None
) -> tuple[str, ...]:
    """Forget the snapshot *name* of VMs (all for ``None``); returns their names.

    Raises:
        SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
    """
    store = SnapshotStore(context.layout, context.world.files)
    kept = select_kept(context, store.get(name), names)
    with (
        stage(context.world.observe, "delete snapshot", f"{name}: {', '.join(kept)}"),
        context.journal.step("delete snapshot", name),
    ):
        store.begin(Pending(action="delete", name=name, vms=kept))
        finish_delete(context, store, name, kept)
    return tuple(kept)


def finish_delete(
    context: PrefixContext, store: SnapshotStore, name: str, kept: Mapping[str, VMSnapshot]
) -> None:
    """Bring a deletion to its end, from wherever it stands."""
    snapshot = store.find(name)
    if snapshot is not None:
        # From here on nobody sees it any more.
        left = {vm: item for vm, item in snapshot.vms.items() if vm not in kept}
        store.save(attrs.evolve(snapshot, vms=left))
    _adopt_children(store, name, kept)
    for vm, item in kept.items():
        remove_kept(_find_plan(context, vm), item, name, context, store)
    store.end()


def _adopt_children(store: SnapshotStore, name: str, kept: Mapping[str, VMSnapshot]) -> None:
    """Give the children of what is deleted its own parent."""
    for other in store.list_snapshots():
        orphans = {
            vm: attrs.evolve(item, parent=kept[vm].parent)
            for vm, item in other.vms.items()
            if vm in kept and item.parent == name
        }
        if orphans:
            store.save(attrs.evolve(other, vms={**other.vms, **orphans}))
    heads = store.get_heads()
    moved = {vm: item.parent for vm, item in kept.items() if heads.get(vm) == name}
    heads = {vm: head for vm, head in heads.items() if vm not in moved}
    store.save_heads({**heads, **{vm: head for vm, head in moved.items() if head is not None}})


def _find_plan(context: PrefixContext, vm: str) -> VMPlan | None:
    try:
        return context.plan.get_vm(vm)
    except VMNotFoundError:
        return None
