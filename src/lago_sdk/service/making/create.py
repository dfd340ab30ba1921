"""Making a prefix: plan it, reserve what it shares with others, make keys, disks and seeds.

All steps can be repeated: a prefix whose creation was killed is finished by calling
`create_prefix` again with the same layout.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.events import stage
from lago_sdk.ports import SCRATCH_PREFIX
from lago_sdk.service.making.access import warn_unreachable
from lago_sdk.service.making.deploy_scripts import copy_scripts
from lago_sdk.service.making.disks import create_disk, create_together
from lago_sdk.service.making.injection import inject_disk, inject_disks
from lago_sdk.service.making.planning import decide_plan
from lago_sdk.service.making.seeds import create_seed
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.provisioning.ssh_config import try_write_ssh_config
from lago_sdk.spec.vm import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.plan.models import DiskPlan, Plan, VMPlan
    from lago_sdk.service.journal import Journal
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec

_DISKS_AT_ONCE = 8
"""Making an image is a short process that mostly waits; builders keep a processor busy each."""


def create_prefix(
    spec: PrefixSpec,
    *,
    uuid: str,
    layout: PrefixLayout,
    world: World,
    journal: Journal,
    save_plan: Callable[[Plan], None],
    stored_plan: Plan | None = None,
) -> Plan:
    """Do everything that comes before the first start.

    Args:
        spec: What was asked; checked.
        uuid: The prefix's uuid, already on disk.
        layout: Where the prefix lies.
        world: The ports.
        journal: The prefix's journal.
        save_plan: Called once the plan is final, before anything is made by it.
        stored_plan: The plan of an earlier, killed attempt; it is kept.

    Raises:
        SpecError: The spec cannot be planned.
        TemplateError: A template cannot be had.
        SubnetLeaseError: No subnet can be reserved.
        VMError: A disk cannot be made.
    """
    plan = stored_plan
    if plan is None:
        with stage(world.observe, "plan"), journal.step("plan"):
            plan = decide_plan(spec, uuid=uuid, layout=layout, world=world)
            save_plan(plan)
    for directory in (layout.images, layout.logs):
        directory.mkdir(exist_ok=True)
    _sweep(layout, world)
    warn_unreachable(plan, layout=layout, world=world)
    with stage(world.observe, "create keys"), journal.step("create keys"):
        public_key = world.keys.create_key_pair(layout.private_key, f"lago-{uuid[:8]}")
    with stage(world.observe, "create disks and seeds"):
        _create_disks(plan, layout=layout, world=world, journal=journal)
        for vm in plan.vms:
            create_seed(vm, plan=plan, public_key=public_key, layout=layout, world=world)
    with journal.step("copy scripts"):
        copy_scripts(plan, layout=layout, world=world)
    try_write_ssh_config(plan, layout=layout, world=world)
    world.files.write_atomic(layout.initialized, b"")
    return plan


def _create_disks(plan: Plan, *, layout: PrefixLayout, world: World, journal: Journal) -> None:
    def create(work: tuple[VMPlan, DiskPlan]) -> None:
        vm, disk = work
        with journal.step("create disk", f"{vm.name}/{disk.name}"):
            inject = partial(inject_disk, vm=vm, plan=plan, layout=layout, world=world)
            is_injected = _is_written(vm, disk, Bootstrap.INJECT)
            finish = inject if is_injected else None
            create_disk(vm, disk, layout=layout, world=world, finish=finish)

    disks = [(vm, disk) for vm in plan.vms if not vm.is_remote for disk in vm.disks]
    together = [work for work in disks if _is_written(*work, Bootstrap.GUESTFS)]
    others = [work for work in disks if work not in together]
    plain = [work for work in others if not work[1].spec.build]
    built = [work for work in others if work[1].spec.build]
    for works, limit in ((plain, _DISKS_AT_ONCE), (built, world.cpus)):
        run_parallel(create, works, limit=limit, message="several disks could not be made")
    if together:
        names = ", ".join(f"{vm.name}/{disk.name}" for vm, disk in together)
        with journal.step("create disks", names):
            inject = partial(inject_disks, plan=plan, layout=layout, world=world)
            create_together(together, inject, layout=layout, world=world)


def _is_written(vm: VMPlan, disk: DiskPlan, road: Bootstrap) -> bool:
    """Whether *disk* is the one that the guest of *vm* is prepared by, in the way *road*."""
    return vm.bootstrap is road and disk == vm.disks[0]


def _sweep(layout: PrefixLayout, world: World) -> None:
    """Remove what somebody left who was killed while he wrote to a disk."""
    for path in layout.images.glob(f"{SCRATCH_PREFIX}*"):
        world.files.remove_tree(path)
