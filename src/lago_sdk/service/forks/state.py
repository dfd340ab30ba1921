"""Taking the state that forks begin from: memories and disks of one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import attrs

from lago_sdk.events import stage
from lago_sdk.render.machine import clean_machine
from lago_sdk.service.forks.layers import Freezer
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.snapshots.choose import choose_running, choose_stopped
from lago_sdk.service.snapshots.create import undo_create
from lago_sdk.service.snapshots.cut import AT_ONCE, Cut
from lago_sdk.service.snapshots.model import Mechanism, SnapshotKind, VMSnapshot
from lago_sdk.service.snapshots.store import Pending, SnapshotStore
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.render.machine import MachineDisk
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.snapshots.choose import Choice


@attrs.frozen(kw_only=True)
class FrozenVM:
    """One VM of the state."""

    name: str
    layers: Mapping[str, Path]
    """The layer of each writable disk, by the absolute path of the disk in the first prefix."""
    machine: str | None
    """The XML of what ran; ``None`` for a VM that was off."""
    was_running: bool
    """Whether its processors ran."""
    memory: Path | None
    """Where its memory is; ``None`` for a VM that was off."""


def take_state(context: PrefixContext, target: PrefixLayout) -> tuple[FrozenVM, ...]:
    """Keep all VMs of a prefix at one moment, in the directory of a fork; they run on.

    Args:
        context: The prefix; locked.
        target: Where layers and memories are made.

    Raises:
        SnapshotError: A VM cannot be kept with its memory; says why, and nothing was done.
        HypervisorError: A memory cannot be written; all VMs run on.
        ImageError: A disk cannot be read.
    """
    choices = choose_all(context)
    for directory in (target.layers, target.fork_state):
        directory.mkdir(parents=True, exist_ok=True)
    freezer = Freezer(context.layout, target, context.world.images)
    with standing_still(context, [choice.vm for choice in choices if choice.is_running]):
        return run_parallel(
            lambda choice: _freeze(choice, context, target, freezer),
            choices,
            limit=AT_ONCE,
            message="several VMs could not be forked",
            keep_going=True,
        )


@contextmanager
def standing_still(context: PrefixContext, running: Sequence[VMPlan]) -> Iterator[None]:
    """Have VMs that run stand still for a block; they run on after it, even if we are killed."""
    store = SnapshotStore(context.layout, context.world.files)
    name = f"fork-{uuid4().hex[:12]}"
    kept = {vm.name: _describe(vm) for vm in running}
    # Whoever finds this later lets the VMs run on.
    store.begin(Pending(action="create", name=name, vms=kept))
    try:
        with stage(context.world.observe, "freeze") as telling:
            with Cut(context, running) as cut:
                yield
            telling.tell(f"VMs stood still for {cut.seconds:.2f} s")
    except BaseException:
        undo_create(context, store, name, kept)
        raise
    store.end()


def choose_all(context: PrefixContext) -> tuple[Choice, ...]:
    """Return how each VM of a prefix is kept.

    Raises:
        SnapshotError: One cannot be kept with its memory; says why.
    """
    seen = observe(context.plan, context.world.host)

    def choose(vm: VMPlan) -> Choice:
        if not seen.is_active(vm.name):
            return choose_stopped(vm, context.layout)
        xml = clean_machine(context.hypervisor.get_machine(vm.domain))
        choice = choose_running(vm, xml, memory=True)
        runs = seen.state(vm.name) in {VMState.RUNNING, VMState.BLOCKED}
        return attrs.evolve(choice, is_running=runs)

    vms = [vm for vm in context.plan.vms if not vm.is_remote]
    return run_parallel(choose, vms, limit=AT_ONCE, message="several VMs cannot be forked")


def list_disks(choice: Choice, context: PrefixContext) -> tuple[MachineDisk, ...]:
    """Return the disks of a VM that a fork needs: those it has now, and those of its next start.

    They differ after a revert to a moment at which a disk was not attached yet.
    """
    known = {disk.path for disk in choice.disks}
    planned = choose_stopped(choice.vm, context.layout).disks
    later = [disk for disk in planned if disk.path is not None and disk.path not in known]
    return (*choice.disks, *(disk for disk in later if Path(str(disk.path)).exists()))


def _freeze(
    choice: Choice, context: PrefixContext, target: PrefixLayout, freezer: Freezer
) -> FrozenVM:
    vm = choice.vm
    memory = None
    if choice.machine is not None:
        memory = target.fork_state / f"{vm.name}.memory"
        context.hypervisor.save_beside(vm.domain, memory)
    layers = {
        disk.path: freezer.freeze(Path(disk.path), DiskFormat(disk.format))
        for disk in list_disks(choice, context)
        if disk.path is not None
    }
    return FrozenVM(
        name=vm.name,
        layers=layers,
        machine=choice.machine,
        was_running=choice.is_running,
        memory=memory,
    )


def _describe(vm: VMPlan) -> VMSnapshot:
    """Return what an undo has to know: that the VM runs on, and nothing else was done to it."""
    return VMSnapshot(
        vm=vm.name,
        kind=SnapshotKind.MEMORY,
        mechanism=Mechanism.OUTSIDE,
        created=round(time.time(), 3),
        was_running=True,
    )
