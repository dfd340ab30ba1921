"""Making a new lab of a checkpoint: what it needs becomes its own, by hard links where possible.

Everything is checked when it is the lab's own: whoever removes the checkpoint meanwhile takes
nothing away, and whoever damages it is noticed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.events import Note, stage
from lago_sdk.service.checkpoints.keep import (
    describe_failure,
    open_store,
    read_frozen,
    write_plan,
)
from lago_sdk.service.checkpoints.key import find_differences
from lago_sdk.service.checkpoints.model import SHORT, CheckpointStage, CheckpointUse, write_use
from lago_sdk.service.checkpoints.store import DamagedError, digest_file
from lago_sdk.service.forks.create import create_overlays, fork_plan
from lago_sdk.service.forks.layers import link
from lago_sdk.service.parallel import run_parallel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import Plan
    from lago_sdk.service.checkpoints.key import Key
    from lago_sdk.service.checkpoints.store import CheckpointStore, Member
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.forks.state import FrozenVM

_AT_ONCE = 4
_LINKED = ("images/", "fork/")
"""What never changes, and may be large."""
_SKIPPED = "scripts/"
"""The lab has copies of its own, by the names that its own paths give them."""
_SHOWN = 3


def adopt(context: PrefixContext, key: Key) -> Plan | None:
    """Make a new lab of the checkpoint that fits, if there is one.

    A checkpoint that is damaged is removed, which is told. Repeating it does no harm.

    Args:
        context: The lab, which has a plan and nothing else.
        key: Its key.

    Returns:
        The plan by which the lab has what the checkpoint holds; ``None`` where none fits.

    Raises:
        LagoError: The lab's directory cannot be written.
    """
    store, layout, world = open_store(context), context.layout, context.world
    try:
        path = store.find_path(key)
        if path is None:
            _tell_nearest(context, store, key)
            return None
        with stage(world.observe, "take checkpoint", key.digest[:SHORT]):
            members = store.read_members(path)
            made = store.read_made(path)
            _take(path, members, context)
            write_plan(layout, context.plan, world.files)
            plan = _plan_overlays(context, read_frozen(layout))
    except (DamagedError, LagoError, OSError, ValueError, KeyError, ExceptionGroup) as error:
        clear_made(context)
        _give_up(context, store.path / key.digest, error)
        return None
    use = CheckpointUse(stage=CheckpointStage.FROZEN, key=key.digest, made=made)
    write_use(layout, use, world.files)
    store.note_use(path)
    return plan


def _give_up(context: PrefixContext, path: Path, error: Exception) -> None:
    """Remove a checkpoint that is damaged; say why one is of no use, unless it is gone by now."""
    if not path.exists():
        return
    failures = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    if any(isinstance(failure, (DamagedError, ValueError, KeyError)) for failure in failures):
        discard(context, path.name, describe_failure(error))
        return
    text = f"the checkpoint {path.name[:SHORT]} cannot be taken, and the lab boots: "
    context.world.observe(Note(message=text + describe_failure(error), warning=True))


def discard(context: PrefixContext, key: str, why: str) -> None:
    """Remove a checkpoint that is of no use, and say so."""
    text = f"the checkpoint {key[:SHORT]} is damaged, and was removed; the lab boots: {why}"
    context.world.observe(Note(message=text, warning=True))
    try:
        open_store(context).remove(key)
    except (LagoError, OSError) as error:
        text = f"the checkpoint {key[:SHORT]} cannot be removed: {error}"
        context.world.observe(Note(message=text, warning=True))


def clear_made(context: PrefixContext) -> None:
    """Remove what creation makes besides the plan and the scripts, so that it is made anew."""
    layout, files = context.layout, context.world.files
    layout.initialized.unlink(missing_ok=True)
    for tree in (layout.fork_state, layout.images, layout.display_passwords):
        files.remove_tree(tree)
    for path in (layout.private_key, layout.public_key, layout.known_hosts):
        path.unlink(missing_ok=True)
    layout.service_providers.unlink(missing_ok=True)
    for directory in (layout.images, layout.logs):
        directory.mkdir(exist_ok=True)


def make_overlays(
    context: PrefixContext, frozen: Sequence[FrozenVM]
) -> Mapping[str, Mapping[str, Path]]:
    """Make the disks of a lab anew on the layers, as they were at the moment of its memories."""
    for vm in frozen:
        for disk in vm.layers:
            Path(disk).unlink(missing_ok=True)
            Path(disk).with_suffix(".qcow2").unlink(missing_ok=True)
    return {vm.name: create_overlays(context, context.layout, vm) for vm in frozen}


def _plan_overlays(context: PrefixContext, frozen: Sequence[FrozenVM]) -> Plan:
    paths = make_overlays(context, frozen)
    return fork_plan(context, context.layout, context.plan.uuid, paths)


def _take(path: Path, members: Sequence[Member], context: PrefixContext) -> None:
    wanted = [member for member in members if not member.name.startswith(_SKIPPED)]
    run_parallel(
        lambda member: _take_member(path, member, context),
        wanted,
        limit=_AT_ONCE,
        message="several files cannot be taken from a checkpoint",
    )


def _take_member(path: Path, member: Member, context: PrefixContext) -> None:
    """Take one file, and check it.

    Raises:
        FileNotFoundError: The checkpoint is gone.
        DamagedError: The file is not what it was.
    """
    source, target = path / member.name, context.layout.path / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if not source.exists():
        if path.exists():
            raise DamagedError(f"it has no {member.name} any more")
        raise FileNotFoundError(source)
    if member.name.startswith(_LINKED):
        link(source, target, context.world.images)
    else:
        shutil.copyfile(source, target)
        target.chmod(member.mode)
    if target.stat().st_size != member.size:
        size = target.stat().st_size
        raise DamagedError(f"{member.name} has {size} bytes, not {member.size}")
    if digest_file(target) != member.digest:
        raise DamagedError(f"{member.name} has another content than when it was made")


def _tell_nearest(context: PrefixContext, store: CheckpointStore, key: Key) -> None:
    """Tell why the last checkpoint of a lab like this one does not fit, where there is one."""
    names = {vm.name for vm in context.plan.vms}
    for checkpoint in store.list():
        if set(checkpoint.vms) != names:
            continue
        document = store.read_document(checkpoint.path)
        if document is None:
            continue
        places = find_differences(key.document, document)
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        text = f"{', '.join(places[:_SHOWN])}{more}"
        context.world.observe(
            Note(message=f"no checkpoint fits; {checkpoint.key[:SHORT]} differs in {text}")
        )
        return
