"""Going back to a snapshot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lago_sdk.errors import SnapshotNotFoundError
from lago_sdk.events import Note, stage
from lago_sdk.service.marks import note_use
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.power.start import Starter
from lago_sdk.service.power.stop import release_nets
from lago_sdk.service.snapshots.clean import list_changes, mark_clean
from lago_sdk.service.snapshots.cut import AT_ONCE, pause, resume
from lago_sdk.service.snapshots.model import RevertReport, SnapshotKind
from lago_sdk.service.snapshots.recall import Recall, RecallStarter
from lago_sdk.service.snapshots.settle import settle_guests
from lago_sdk.service.snapshots.store import Pending, SnapshotStore
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.observing.status import Observation
    from lago_sdk.service.snapshots.model import Snapshot, VMSnapshot


_LOADABLE = frozenset({VMState.RUNNING, VMState.BLOCKED, VMState.PAUSED})
"""States in which a QEMU takes a state; a guest that sleeps is ended instead."""


def revert_snapshots(
    context: PrefixContext, name: str, names: Iterable[str] | None, *, if_dirty: bool = False
) -> RevertReport:
    """Bring VMs back to the snapshot *name*; see `lago_sdk.Prefix.revert_snapshots`."""
    begin = time.monotonic()
    store = SnapshotStore(context.layout, context.world.files)
    snapshot = store.get(name)
    kept = select_kept(context, snapshot, names)
    if if_dirty and not list_changes(context, name, kept):
        return RevertReport(name=name, reverted=(), seconds=time.monotonic() - begin)
    revert = _Revert(context, store, snapshot, kept)
    with (
        stage(context.world.observe, "revert", f"{name}: {', '.join(kept)}"),
        context.journal.step("revert", name),
    ):
        in_place = revert.run()
    return RevertReport(
        name=name,
        reverted=tuple(kept),
        in_place=in_place,
        loaded=revert.loaded_at - begin,
        seconds=time.monotonic() - begin,
    )


def select_kept(
    context: PrefixContext, snapshot: Snapshot, names: Iterable[str] | None
) -> dict[str, VMSnapshot]:
    """Return what *snapshot* keeps of the VMs called *names*, in the plan's order; all for none.

    Raises:
        VMNotFoundError: There is no VM of one of the names.
        SnapshotNotFoundError: The snapshot was made without one of them.
    """
    wanted = None if names is None else {context.plan.get_vm(name).name for name in names}
    missing = sorted((wanted or set()) - snapshot.vms.keys())
    if missing:
        raise SnapshotNotFoundError(
            f"the snapshot {snapshot.name!r} does not have {', '.join(missing)}",
            hint=f"it has: {', '.join(snapshot.vms)}",
        )
    return {
        vm.name: snapshot.vms[vm.name]
        for vm in context.plan.vms
        if vm.name in snapshot.vms and (wanted is None or vm.name in wanted)
    }


class _Revert:
    """One revert; used once.

    Attributes:
        loaded_at: When the last VM ran again, by the monotonic clock.
    """

    def __init__(
        self,
        context: PrefixContext,
        store: SnapshotStore,
        snapshot: Snapshot,
        kept: dict[str, VMSnapshot],
    ) -> None:
        self._context = context
        self._store = store
        self._name = snapshot.name
        self._kept = kept
        self._recall = Recall(context, store, snapshot)
        self.loaded_at = 0.0

    def run(self) -> tuple[str, ...]:
        """Do it; returns the VMs whose QEMU went on.

        Where somebody kills or interrupts us the pending record stays, and the next verb does
        it again: a lab of which only a part is at the snapshot is none.
        """
        seen = observe(self._context.plan, self._context.world.host)
        in_place = self._find_loadable(seen)
        self._check([vm for vm in self._kept if vm not in in_place])
        self._store.begin(Pending(action="revert", name=self._name, vms=self._kept))
        for vm in self._kept:
            note_use(self._context.layout, vm)
        self._context.guests.forget(self._kept, abort=True)
        try:
            loaded = self._load(in_place, seen)
            self._begin_others([vm for vm in self._kept if vm not in loaded], seen)
            self._finish()
        except BaseException as error:
            self._run_on_surely(in_place, error)
            if isinstance(error, Exception):
                self._store.end()  # it would fail again, and the user is told
            raise
        return loaded

    def _find_loadable(self, seen: Observation) -> tuple[str, ...]:
        """Return the VMs that can go back in the QEMU they have."""
        active = [vm for vm in self._kept if seen.state(vm) in _LOADABLE]
        same = run_parallel(
            lambda vm: self._recall.is_same_machine(self._plan(vm), self._kept[vm]),
            active,
            limit=AT_ONCE,
            message="several VMs cannot be looked at",
        )
        return tuple(vm for vm, is_same in zip(active, same, strict=True) if is_same)

    def _check(self, vms: list[str]) -> None:
        run_parallel(
            lambda vm: self._recall.check(self._kept[vm]),
            vms,
            limit=AT_ONCE,
            message=f"several VMs cannot go back to {self._name!r}",
            keep_going=True,
        )

    def _load(self, vms: tuple[str, ...], seen: Observation) -> tuple[str, ...]:
        """Load the state into VMs that run, all at one moment; returns those where it worked."""
        if not vms:
            return ()
        running = [vm for vm in vms if seen.state(vm) is not VMState.PAUSED]
        pause(self._context, [self._plan(vm) for vm in running])
        went_well = run_parallel(
            lambda vm: self._recall.load(self._plan(vm)),
            vms,
            limit=AT_ONCE,
            message=f"several VMs cannot go back to {self._name!r}",
            keep_going=True,
        )
        return tuple(vm for vm, is_loaded in zip(vms, went_well, strict=True) if is_loaded)

    def _begin_others(self, vms: list[str], seen: Observation) -> None:
        """Bring back VMs whose QEMU cannot, from off."""
        if not vms:
            return
        for vm in vms:
            if seen.is_active(vm):
                self._context.hypervisor.end_domain(self._plan(vm).domain)
        memories = {vm: self._kept[vm] for vm in vms if self._kept[vm].kind is SnapshotKind.MEMORY}
        if memories:
            RecallStarter(self._context, self._recall, memories).start(tuple(memories))
        for vm in vms:
            if vm not in memories:
                self._recall.put_back_disks(self._kept[vm])

    def _finish(self) -> None:
        """Let all run on that did, from one moment on, and make their guests usable."""
        memories = [
            self._plan(vm)
            for vm, kept in self._kept.items()
            if kept.kind is SnapshotKind.MEMORY and kept.was_running
        ]
        if memories:
            resume(self._context, memories)
        self.loaded_at = time.monotonic()
        disks = [vm for vm, kept in self._kept.items() if kept.kind is SnapshotKind.DISK]
        boots = [vm for vm in disks if self._kept[vm].was_running]
        if boots:
            Starter(self._context).start(boots)
            self.loaded_at = time.monotonic()
        if disks:
            release_nets(self._context)
        settle_guests(self._context, memories)
        heads = self._store.get_heads()
        self._store.save_heads({**heads, **dict.fromkeys(self._kept, self._name)})
        mark_clean(self._context, self._store, self._name, self._kept.values())
        self._store.end()

    def _run_on_surely(self, vms: tuple[str, ...], error: BaseException) -> None:
        """Let VMs run on although the revert failed; what failed is being raised."""
        running = [self._plan(vm) for vm in vms if self._kept[vm].was_running]
        try:
            if running:
                resume(self._context, running)
        except Exception as further:  # noqa: BLE001 - the first failure is being raised
            text = f"not every VM runs on after {error}: {further}"
            self._context.world.observe(Note(message=text, warning=True))

    def _plan(self, vm: str) -> VMPlan:
        return self._context.plan.get_vm(vm)
