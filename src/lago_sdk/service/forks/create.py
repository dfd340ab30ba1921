"""Making forks of a prefix, and starting them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import HostError
from lago_sdk.events import stage
from lago_sdk.plan.models import Plan
from lago_sdk.ports import HostKind
from lago_sdk.render.fork import fork_machine
from lago_sdk.service.context import PrefixContext
from lago_sdk.service.forks.layers import link
from lago_sdk.service.forks.state import take_state
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.power.start import Starter, StartReport
from lago_sdk.service.provisioning.ssh_config import try_write_ssh_config
from lago_sdk.service.snapshots.cut import resume
from lago_sdk.service.snapshots.settle import settle_guests
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import DiskPlan, VMPlan
    from lago_sdk.service.forks.state import FrozenVM

_AT_ONCE = 8
_QCOW2 = ".qcow2"
_PLAIN = ("id_ed25519", "id_ed25519.pub", "known_hosts", "service-providers.json")
"""Files that a fork has a copy of."""
_TREES = ("scripts", "display-passwords")


@attrs.frozen(kw_only=True)
class Seedling:
    """A fork that has a directory, a uuid and a record, and nothing else yet."""

    uuid: str
    layout: PrefixLayout
    save_plan: Callable[[Plan], None]
    """Writes its plan."""
    make_context: Callable[[], PrefixContext]
    """Makes what services work with, once there is a plan."""


def check_forkable(context: PrefixContext) -> None:
    """Return when the prefix may be forked.

    Raises:
        HostError: Its VMs share a host with others, who would see everything twice.
    """
    if context.world.host.kind is not HostKind.PRIVATE:
        raise HostError(
            "only prefixes on private hosts can be forked: a fork has the same addresses, MACs "
            "and names, which nobody else may see",
            hint="make the prefix with --host private",
        )


def fork_prefix(context: PrefixContext, seedlings: Sequence[Seedling]) -> None:
    """Make a running fork of each of *seedlings* from what the prefix is now.

    Args:
        context: The prefix that is forked; locked.
        seedlings: The forks; locked. One that fails is to be removed by the caller.

    Raises:
        SnapshotError: A VM cannot be kept with its memory.
        HostError: A host cannot be brought up.
        ExceptionGroup: Several forks failed.
    """
    first, *others = seedlings
    frozen = take_state(context, first.layout)
    for other in others:
        _link_state(first.layout, other.layout, context)
    run_parallel(
        lambda seedling: _grow(context, seedling, frozen),
        seedlings,
        limit=_AT_ONCE,
        message="several forks could not be made",
        keep_going=True,
    )
    finish_forks(context, seedlings)


def finish_forks(context: PrefixContext, seedlings: Sequence[Seedling]) -> None:
    """Make prefixes that are all there complete ones."""
    for seedling in seedlings:
        context.world.files.remove_tree(seedling.layout.fork_state)
        context.world.files.write_atomic(seedling.layout.initialized, b"")
        seedling.layout.fork_mark.unlink(missing_ok=True)


def _link_state(source: PrefixLayout, target: PrefixLayout, context: PrefixContext) -> None:
    target.layers.mkdir(parents=True, exist_ok=True)
    for layer in source.layers.iterdir():
        link(layer, target.layers / layer.name, context.world.images)


def _grow(parent: PrefixContext, seedling: Seedling, frozen: Sequence[FrozenVM]) -> None:
    """Make the disks and the plan of one fork, and start it."""
    copy_files(parent, seedling.layout)
    paths = {vm.name: create_overlays(parent, seedling.layout, vm) for vm in frozen}
    plan = fork_plan(parent, seedling.layout, seedling.uuid, paths)
    seedling.save_plan(plan)
    context = seedling.make_context()
    for vm in plan.vms:
        for disk in vm.disks:
            if disk.backing is not None:
                context.world.mark_used(disk.backing)
    try_write_ssh_config(plan, layout=context.layout, world=context.world)
    with stage(context.world.observe, "start fork", seedling.layout.path.name):
        run_on(context, frozen, paths)


def run_on(
    context: PrefixContext,
    frozen: Sequence[FrozenVM],
    paths: Mapping[str, Mapping[str, Path]],
) -> StartReport | None:
    """Start VMs from their memories; returns when guests answer, ``None`` where all were off.

    Args:
        context: The prefix that they are in now.
        frozen: The state of each.
        paths: Their disks by those of the prefix that they were in, by name of the VM.
    """
    active = {vm.name: vm for vm in frozen if vm.machine is not None}
    if not active:
        return None
    machines = {name: _move_machine(vm, context, paths[name]) for name, vm in active.items()}
    report = ForkStarter(context, active, machines).start(tuple(active))
    running = [context.plan.get_vm(vm.name) for vm in active.values() if vm.was_running]
    resume(context, running)
    settle_guests(context, running)
    return report


def _move_machine(vm: FrozenVM, context: PrefixContext, paths: Mapping[str, Path]) -> str:
    assert vm.machine is not None
    return fork_machine(
        vm.machine,
        prefix_uuid=context.plan.uuid,
        root=str(context.layout.path),
        disks={old: str(new) for old, new in paths.items()},
    )


def copy_files(parent: PrefixContext, target: PrefixLayout) -> None:
    """Give a fork the keys and texts of the first prefix, and links to what never changes."""
    source, images = parent.layout, parent.world.images
    for directory in (target.images, target.layers, target.logs):
        directory.mkdir(parents=True, exist_ok=True)
    for name in _PLAIN:
        if (source.path / name).is_file():
            images.copy(source.path / name, target.path / name)
            (target.path / name).chmod((source.path / name).stat().st_mode & 0o777)
    for tree in _TREES:
        for path in (source.path / tree).rglob("*"):
            place = target.path / path.relative_to(source.path)
            if path.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                images.copy(path, place)
                place.chmod(path.stat().st_mode & 0o777)
    for vm in parent.plan.vms:
        fixed = [disk.path for disk in vm.disks if disk.format is DiskFormat.ISO and disk.owned]
        for name in (*fixed, *((vm.seed,) if vm.seed else ())):
            if (source.path / name).is_file():
                link(source.path / name, target.path / name, images)


def create_overlays(parent: PrefixContext, target: PrefixLayout, vm: FrozenVM) -> dict[str, Path]:
    """Make an overlay for each disk of a VM; returns them by the disks of the first prefix."""
    found: dict[str, Path] = {}
    for index, (old, layer) in enumerate(vm.layers.items()):
        path = Path(old)
        inside = path.parent == parent.layout.images
        name = path.stem if inside else f"{vm.name}_{index}_{path.stem}"
        place = target.images / f"{name}{_QCOW2}"
        shared = parent.world.images.inspect(target.layers / layer.name)
        parent.world.images.create_neighbour(place, shared)
        found[old] = place
    return found


def fork_plan(
    parent: PrefixContext,
    layout: PrefixLayout,
    uuid: str,
    paths: Mapping[str, Mapping[str, Path]],
) -> Plan:
    """Return the plan of a prefix that has overlays in place of the disks of another.

    Args:
        parent: The other prefix.
        layout: Where the prefix lies.
        uuid: Its uuid.
        paths: The overlays by the disks of the other, by name of the VM.
    """

    def fork_disk(vm: VMPlan, disk: DiskPlan) -> DiskPlan:
        new = paths.get(vm.name, {}).get(os.path.join(parent.layout.path, disk.path))  # noqa: PTH118
        if new is None:
            return disk
        place = str(new.relative_to(layout.path))
        return attrs.evolve(disk, path=place, format=DiskFormat.QCOW2, owned=True)

    vms = tuple(
        attrs.evolve(vm, disks=tuple(fork_disk(vm, disk) for disk in vm.disks))
        for vm in parent.plan.vms
    )
    return attrs.evolve(parent.plan, uuid=uuid, vms=vms)


class ForkStarter(Starter):
    """Brings up host and nets as a start does, and VMs from their memories, paused.

    Args:
        context: The fork.
        frozen: The state of each VM that is started.
        machines: Their XML.
    """

    def __init__(
        self,
        context: PrefixContext,
        frozen: Mapping[str, FrozenVM],
        machines: Mapping[str, str],
    ) -> None:
        super().__init__(context, wait=False)
        self._frozen = frozen
        self._machines = machines

    def _create_domain(
        self,
        vm: VMPlan,
        facts: HostFacts,  # noqa: ARG002 - the machine is that of the first prefix
        *,
        is_known: bool,  # noqa: ARG002
    ) -> None:
        memory = self._frozen[vm.name].memory
        assert memory is not None
        self._undo.append(lambda: self._context.hypervisor.remove_domain(vm.domain))
        self._context.hypervisor.restore_outside(memory, self._machines[vm.name])
