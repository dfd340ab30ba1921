"""Keeping a lab that has just come up as a checkpoint; it stands still for a moment meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.codec.state import dumps_plan, loads_plan
from lago_sdk.errors import ImageError, LagoError
from lago_sdk.events import Note
from lago_sdk.render.machine import move_machine
from lago_sdk.service.checkpoints.gc import collect_checkpoints
from lago_sdk.service.checkpoints.store import CheckpointStore
from lago_sdk.service.forks.create import copy_files
from lago_sdk.service.forks.space import estimate_state
from lago_sdk.service.forks.state import FrozenVM, take_state
from lago_sdk.service.snapshots.space import check_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import Plan
    from lago_sdk.ports import Files
    from lago_sdk.service.checkpoints.key import Key
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout

_FROZEN = "frozen.json"
_MACHINE = ".xml"
_PLAN = "plan.json"


def open_store(context: PrefixContext) -> CheckpointStore:
    """Return the checkpoints of the user."""
    return CheckpointStore(context.world.config.checkpoints, context.world.files)


def keep(context: PrefixContext, key: Key) -> float | None:
    """Keep a lab that runs as a checkpoint; whatever fails, the lab runs on.

    Args:
        context: The lab; locked.
        key: Its key.

    Returns:
        When the checkpoint was made, in seconds since the epoch; ``None`` where it could not be
        made, which is told.
    """
    store, world = open_store(context), context.world
    try:
        with context.step("keep checkpoint", key.digest), store.making() as layout:
            check_space([(layout.path, estimate_state(context))], "the checkpoint")
            frozen = take_state(context, layout)
            copy_files(context, layout)
            _write_frozen(context, layout, frozen)
            lab, vms = str(context.layout.path), tuple(vm.name for vm in frozen)
            made = store.publish(layout, key, lab=lab, vms=vms)
    except (LagoError, OSError, ExceptionGroup) as error:
        text = f"the lab runs, and could not be kept as a checkpoint: {describe_failure(error)}"
        world.observe(Note(message=text, warning=True))
        return None
    collect_checkpoints(
        store,
        older_than=world.config.checkpoint_max_age,
        max_size=world.config.checkpoint_max_size,
        observer=world.observe,
    )
    return made


def read_frozen(layout: PrefixLayout) -> tuple[FrozenVM, ...]:
    """Return the state that lies in a lab, or a checkpoint, as if it had been taken there.

    Raises:
        OSError: A file is missing.
        ValueError: It is damaged.
        KeyError: It is damaged.
    """
    found: Mapping[str, Mapping[str, str]] = json.loads((layout.fork_state / _FROZEN).read_text())
    return tuple(
        FrozenVM(
            name=name,
            layers={str(layout.path / disk): layout.layers / at for disk, at in layers.items()},
            machine=move_machine(
                (layout.fork_state / f"{name}{_MACHINE}").read_text(), str(layout.path)
            ),
            was_running=True,
            memory=layout.fork_state / f"{name}.memory",
        )
        for name, layers in found.items()
    )


def write_plan(layout: PrefixLayout, plan: Plan, files: Files) -> None:
    """Have a lab that is made of a checkpoint remember what its key was made from."""
    files.write_atomic(layout.fork_state / _PLAN, dumps_plan(plan), mode=0o600)


def read_plan(layout: PrefixLayout) -> Plan:
    """Return what the key of a lab was made from that is made of a checkpoint.

    Raises:
        OSError: It is missing.
        WorkdirError: It is damaged.
    """
    return loads_plan((layout.fork_state / _PLAN).read_text())


def _write_frozen(
    context: PrefixContext, layout: PrefixLayout, frozen: tuple[FrozenVM, ...]
) -> None:
    """Write down what the memories and layers belong to.

    Raises:
        ImageError: A disk is not in the prefix.
    """
    root, write = context.layout.path, context.world.files.write_atomic
    for vm in frozen:
        outside = [disk for disk in vm.layers if not Path(disk).is_relative_to(root)]
        if outside or vm.machine is None or not vm.was_running:
            raise ImageError(f"{vm.name} has stopped, or got a disk from elsewhere: {outside}")
        write(layout.fork_state / f"{vm.name}{_MACHINE}", vm.machine)
    layers = {
        vm.name: {str(Path(disk).relative_to(root)): at.name for disk, at in vm.layers.items()}
        for vm in frozen
    }
    write(layout.fork_state / _FROZEN, json.dumps(layers))


def describe_failure(error: BaseException) -> str:
    """Return what went wrong as the end of a sentence."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe_failure(inner) for inner in error.exceptions)
    return error.message if isinstance(error, LagoError) else str(error)
