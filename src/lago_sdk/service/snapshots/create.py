"""Making snapshots: one moment of all VMs, kept by whichever mechanism fits each."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, SnapshotError, SnapshotExistsError, VMError
from lago_sdk.events import Note, stage
from lago_sdk.ports import HostKind
from lago_sdk.render.machine import clean_machine
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.select import select_vms
from lago_sdk.service.snapshots.capture import Capture
from lago_sdk.service.snapshots.choose import choose_running, choose_stopped
from lago_sdk.service.snapshots.clean import mark_clean
from lago_sdk.service.snapshots.cut import AT_ONCE, Cut
from lago_sdk.service.snapshots.disks import plan_disks
from lago_sdk.service.snapshots.model import (
    Mechanism,
    Snapshot,
    SnapshotReport,
    VMSnapshot,
    check_name,
    make_tag,
)
from lago_sdk.service.snapshots.space import (
    check_space,
    estimate_snapshot,
    find_resident,
    get_allocated,
)
from lago_sdk.service.snapshots.store import Pending, SnapshotStore
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.choose import Choice


def create_snapshots(
    context: PrefixContext, name: str, names: Iterable[str] | None, *, memory: bool
) -> SnapshotReport:
    """Keep VMs as the snapshot *name*; see `lago_sdk.Prefix.create_snapshots`."""
    begin = time.monotonic()
    check_name(name)
    store = SnapshotStore(context.layout, context.world.files)
    choices = _choose(context, _select(context, name, names, store), memory=memory)
    plan = _Plan(context, store, name, choices)
    plan.check_space()
    subject = f"{name}: {', '.join(plan.kept)}"
    with (
        stage(context.world.observe, "snapshot", subject) as running,
        context.journal.step("create snapshot", name),
    ):
        report = plan.run()
        if report.pause:
            running.tell(f"they stood still for {report.pause:.2f} s")
    return attrs.evolve(report, seconds=time.monotonic() - begin)


def _select(
    context: PrefixContext, name: str, names: Iterable[str] | None, store: SnapshotStore
) -> tuple[VMPlan, ...]:
    """Return the VMs to keep: all of ours for ``None``."""
    if context.world.host.kind is HostKind.REMOTE:
        message = "snapshots of prefixes on other machines cannot be made"
        raise SnapshotError(message, hint="run lagoctl on that machine")
    vms = select_vms(context.plan, names)
    remote = [vm for vm in vms if vm.is_remote]
    if remote and names is not None:
        far = remote[0]
        message = f"{far.name!r} cannot be kept: it is not on this host"
        raise VMError(far.name, f"{message} (vm-provider: {far.provider})", hint="leave it out")
    known = store.find(name)
    taken = [vm.name for vm in vms if known is not None and vm.name in known.vms]
    if taken:
        raise SnapshotExistsError(
            f"there is a snapshot {name!r} of {', '.join(taken)} already",
            hint=f"take another name, or delete it: lagoctl snapshot --delete {name}",
        )
    chosen = tuple(vm for vm in vms if not vm.is_remote)
    if not chosen:
        raise SnapshotError("there is no VM to make a snapshot of")
    if remote:
        left = ", ".join(vm.name for vm in remote)
        context.world.observe(Note(message=f"not in the snapshot, as not on this host: {left}"))
    return chosen


def _choose(context: PrefixContext, vms: tuple[VMPlan, ...], *, memory: bool) -> tuple[Choice, ...]:
    """Return how each VM is kept.

    Raises:
        SnapshotError: One cannot be; nothing was done.
    """
    seen = observe(context.plan, context.world.host)

    def choose(vm: VMPlan) -> Choice:
        if not seen.is_active(vm.name):
            return choose_stopped(vm, context.layout)
        xml = clean_machine(context.hypervisor.get_machine(vm.domain))
        choice = choose_running(vm, xml, memory=memory)
        runs = seen.state(vm.name) in {VMState.RUNNING, VMState.BLOCKED}
        return attrs.evolve(choice, is_running=runs)

    return run_parallel(choose, vms, limit=AT_ONCE, message="several VMs cannot be kept")


class _Plan:
    """One snapshot that is about to be made; used once."""

    def __init__(
        self,
        context: PrefixContext,
        store: SnapshotStore,
        name: str,
        choices: tuple[Choice, ...],
    ) -> None:
        self._context = context
        self._store = store
        self._name = name
        self._choices = choices
        self._capture = Capture(context, store, name)
        heads = store.get_heads()
        self.kept = {
            choice.vm.name: _describe(choice, name, heads.get(choice.vm.name), store)
            for choice in choices
        }

    def check_space(self) -> None:
        """Return when what is kept surely has space.

        Raises:
            SnapshotError: It may not; nothing was done.
        """
        resident = find_resident(self._context, self._choices)
        needs = [
            need
            for choice in self._choices
            for need in estimate_snapshot(choice, self._context, resident.get(choice.vm.name, 0))
        ]
        check_space(needs, "the snapshot")

    def run(self) -> SnapshotReport:
        """Make it, or leave nothing of it."""
        self._store.begin(Pending(action="create", name=self._name, vms=self.kept))
        try:
            pause = self._keep_all()
            kept = {vm: self._measure(item, pause) for vm, item in self.kept.items()}
            self._commit(kept)
        except BaseException:
            undo_create(self._context, self._store, self._name, self.kept)
            raise
        heads = {**self._store.get_heads(), **dict.fromkeys(kept, self._name)}
        self._store.save_heads(heads)
        mark_clean(self._context, self._store, self._name, kept.values())
        self._store.end()
        return SnapshotReport(name=self._name, vms=kept, pause=pause, seconds=0.0)

    def _keep_all(self) -> float:
        directory = self._store.directory(self._name)
        directory.mkdir(parents=True, exist_ok=True)
        for choice in self._choices:
            if choice.machine is not None:
                path = self._store.machine(self._name, choice.vm.name)
                self._context.world.files.write_atomic(path, choice.machine)
        running = [choice.vm for choice in self._choices if choice.is_running]
        with ExitStack() as stack:
            self._freeze(stack)
            with Cut(self._context, running) as cut:
                run_parallel(
                    self._keep,
                    self._choices,
                    limit=AT_ONCE,
                    message="several VMs could not be kept",
                    keep_going=True,
                )
        return cut.seconds

    def _keep(self, choice: Choice) -> None:
        kept = self.kept[choice.vm.name]
        if choice.machine is None:
            self._capture.keep_stopped(kept)
        else:
            self._capture.keep_running(choice.vm, kept)

    def _freeze(self, stack: ExitStack) -> None:
        """Have guests whose disks only are kept write everything, where their agents answer."""
        from lago_sdk.service.guests.agent import AgentLink, frozen

        for choice in self._choices:
            if choice.mechanism is not Mechanism.DISKS or not choice.is_running:
                continue
            try:
                stack.enter_context(frozen(AgentLink(choice.vm, self._context)))
            except LagoError as error:
                text = (
                    f"the disks of {choice.vm.name} are kept as after a power cut: "
                    f"its file systems could not be frozen: {error.message}"
                )
                self._context.world.observe(Note(message=text))

    def _measure(self, kept: VMSnapshot, pause: float) -> VMSnapshot:
        """Note what was found out meanwhile."""
        memory = 0
        if kept.mechanism is Mechanism.OUTSIDE:
            memory = get_allocated(self._store.memory(self._name, kept.vm))
        elif kept.mechanism is Mechanism.INSIDE:
            paths = [self._store.absolute(disk.path) for disk in kept.disks]
            found = [self._context.world.images.list_snapshots(path) for path in paths]
            memory = sum(tags.get(make_tag(self._name), 0) for tags in found)
        copies = [self._store.absolute(disk.copy) for disk in kept.disks if disk.copy is not None]
        return attrs.evolve(
            kept,
            memory_bytes=memory,
            copies_bytes=sum(get_allocated(path) for path in copies),
            pause=round(pause, 3) if kept.was_running else 0.0,
        )

    def _commit(self, kept: Mapping[str, VMSnapshot]) -> None:
        known = self._store.find(self._name)
        before = known.vms if known is not None else {}
        self._store.save(Snapshot(name=self._name, vms={**before, **kept}))


def undo_create(
    context: PrefixContext, store: SnapshotStore, name: str, kept: Mapping[str, VMSnapshot]
) -> None:
    """Take back a snapshot that was not finished; nobody has seen it."""
    capture = Capture(context, store, name)
    for vm, item in kept.items():
        capture.undo(context.plan.get_vm(vm), item)
    store.end()


def _describe(choice: Choice, name: str, parent: str | None, store: SnapshotStore) -> VMSnapshot:
    is_inside = choice.mechanism is Mechanism.INSIDE
    disks = plan_disks(choice.disks, name, choice.vm.name, store)
    return VMSnapshot(
        vm=choice.vm.name,
        kind=choice.kind,
        mechanism=choice.mechanism,
        created=round(time.time(), 3),
        parent=parent,
        was_running=choice.is_running,
        disks=tuple(attrs.evolve(disk, copy=None) for disk in disks) if is_inside else disks,
    )
