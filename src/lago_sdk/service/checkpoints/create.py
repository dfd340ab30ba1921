"""Making a lab that uses the cache: of a checkpoint where one fits, else as always."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError
from lago_sdk.events import Note, stage
from lago_sdk.ports import HostKind
from lago_sdk.service.checkpoints.adopt import adopt, clear_made
from lago_sdk.service.checkpoints.key import NAMES_UUID, make_key
from lago_sdk.service.checkpoints.model import CheckpointStage, CheckpointUse, find_use, write_use
from lago_sdk.service.checkpoints.obstacles import find_obstacle
from lago_sdk.service.context import PrefixContext
from lago_sdk.service.guests.connections import Guests
from lago_sdk.service.making.create import create_prefix
from lago_sdk.service.making.deploy_scripts import copy_scripts
from lago_sdk.service.making.planning import decide_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.plan.models import Plan
    from lago_sdk.service.journal import Journal
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec


def create_cached(
    spec: PrefixSpec,
    *,
    uuid: str,
    layout: PrefixLayout,
    world: World,
    journal: Journal,
    save_plan: Callable[[Plan], None],
    stored_plan: Plan | None = None,
    may_adopt: bool = True,
) -> Plan:
    """Do everything that comes before the first start; as `create_prefix`, which see.

    Args:
        spec: What was asked; checked.
        uuid: The prefix's uuid, already on disk.
        layout: Where the prefix lies.
        world: The ports.
        journal: The prefix's journal.
        save_plan: Called once the plan is final.
        stored_plan: The plan of an earlier, killed attempt; it is kept.
        may_adopt: Whether to look for a checkpoint.
    """
    plan = stored_plan
    if plan is None:
        with stage(world.observe, "plan"), journal.step("plan"):
            plan = _decide_plan(spec, uuid=uuid, layout=layout, world=world)
            save_plan(plan)
    if find_use(layout) is None:
        context = PrefixContext(
            plan=plan,
            layout=layout,
            world=world,
            journal=journal,
            guests=Guests(world.open_guest, layout),
        )
        clear_made(context)
        with journal.step("copy scripts"):
            copy_scripts(plan, layout=layout, world=world)
        adopted = _look(context, may_adopt=may_adopt)
        if adopted is not None:
            plan = adopted
            save_plan(plan)
    return create_prefix(
        spec,
        uuid=uuid,
        layout=layout,
        world=world,
        journal=journal,
        save_plan=save_plan,
        stored_plan=plan,
    )


def _decide_plan(spec: PrefixSpec, *, uuid: str, layout: PrefixLayout, world: World) -> Plan:
    """Plan the lab; on a private host by names that all cached labs have."""
    if world.host.kind is not HostKind.PRIVATE:
        return decide_plan(spec, uuid=uuid, layout=layout, world=world)
    plan = decide_plan(spec, uuid=NAMES_UUID, layout=layout, world=world)
    return attrs.evolve(plan, uuid=uuid)


def _look(context: PrefixContext, *, may_adopt: bool) -> Plan | None:
    """Take the checkpoint that fits, and write down what came of it."""
    world, layout = context.world, context.layout
    try:
        reason = find_obstacle(context.plan, world.host)
        key = make_key(context.plan, layout=layout, world=world) if reason is None else None
    except LagoError as error:
        reason, key = error.message, None
    if key is None:
        text = f"the lab cannot be kept in the cache, and boots each time: {reason}"
        world.observe(Note(message=text, warning=True))
        write_use(layout, CheckpointUse(stage=CheckpointStage.BARRED), world.files)
        return None
    adopted = adopt(context, key) if may_adopt else None
    if adopted is None:
        write_use(layout, CheckpointUse(stage=CheckpointStage.COLD, key=key.digest), world.files)
    return adopted
