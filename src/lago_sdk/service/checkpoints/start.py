"""The first start of a lab that uses the cache: it comes up provisioned.

From a checkpoint, if it was made of one; else it boots, its deploy scripts run, and it is kept.
Of several that come up at the same time, one boots, and the others wait and go on from what it
kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import HostError, LagoError, LockedError
from lago_sdk.events import Note
from lago_sdk.service.checkpoints.adopt import discard, make_overlays
from lago_sdk.service.checkpoints.keep import (
    describe_failure,
    keep,
    open_store,
    read_frozen,
    read_plan,
)
from lago_sdk.service.checkpoints.key import make_key
from lago_sdk.service.checkpoints.model import (
    SHORT,
    CheckpointStage,
    CheckpointUse,
    find_use,
    write_use,
)
from lago_sdk.service.checkpoints.store import DamagedError
from lago_sdk.service.context import PrefixContext
from lago_sdk.service.forks.create import run_on
from lago_sdk.service.guests.reach import answers_ssh, wait_for_ssh
from lago_sdk.service.power.start import Starter, StartReport
from lago_sdk.service.provisioning.deploy import deploy_vms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.plan.models import Plan
    from lago_sdk.service.checkpoints.key import Key
    from lago_sdk.service.checkpoints.store import CheckpointStore
    from lago_sdk.service.forks.state import FrozenVM

_WAIT_SECONDS = 3600.0
"""How long one that brings the same lab up is waited for, at most."""
_ANSWER_SECONDS = 60.0


@attrs.frozen(kw_only=True)
class CachedLab:
    """A lab before its first start."""

    get_context: Callable[[], PrefixContext]
    """Returns what services work with now; another one after it was made anew."""
    make_anew: Callable[[], None]
    """Makes the lab anew, as if there were no checkpoints."""
    look_again: Callable[[], None]
    """Makes the lab anew, of a checkpoint where one fits by now."""


def start_first(lab: CachedLab, use: CheckpointUse) -> StartReport:
    """Bring a lab up, provisioned; see `lago_sdk.Prefix.create`.

    Args:
        lab: The lab; locked.
        use: What it has to do with the cache.

    Raises:
        LagoError: It cannot be brought up; as `Starter.start` and `deploy_vms`.
        ExceptionGroup: Several VMs failed.
    """
    begin = time.monotonic()
    report = _restore(lab, use) if use.stage is CheckpointStage.FROZEN else None
    if report is None:
        report = _come_up(lab)
    return attrs.evolve(report, seconds=time.monotonic() - begin)


def _come_up(lab: CachedLab) -> StartReport:
    """Boot a lab, unless somebody else does so with the same one: then wait, and go on from it."""
    context = lab.get_context()
    key = _find_key(context, get_use(context))
    if key is None:
        return _boot(context, None)
    store, files = open_store(context), context.world.files
    purpose = "bring up a lab that is kept in the cache"
    with ExitStack() as stack:
        lock = store.lock_path(key)
        try:
            stack.enter_context(files.lock(lock, timeout=0, purpose=purpose))
        except LockedError as error:
            context.world.observe(Note(message=f"waiting for the same lab: {error.message}"))
            with suppress(LockedError), files.lock(lock, timeout=_WAIT_SECONDS, purpose=purpose):
                pass  # whatever came of it: those who waited boot at the same time, if need be
        report = _take_late(lab, store, key)
        return report or _boot(lab.get_context(), key)


def _take_late(lab: CachedLab, store: CheckpointStore, key: Key) -> StartReport | None:
    """Restore a lab that has been kept since this one was made."""
    with suppress(DamagedError):
        if store.find_path(key) is None:
            return None
    lab.look_again()
    use = get_use(lab.get_context())
    return _restore(lab, use) if use.stage is CheckpointStage.FROZEN else None


def _boot(context: PrefixContext, key: Key | None) -> StartReport:
    """Boot a lab, deploy to it, and keep it where it has a key."""
    files, layout = context.world.files, context.layout
    use = CheckpointUse(stage=CheckpointStage.STARTED, key=key.digest if key is not None else None)
    write_use(layout, use, files)
    report = Starter(context).start(None)
    deploy_vms(context, None, timeout=None)
    made = None
    if key is not None:
        if _make_key(context) != key:
            text = "the lab is not kept as a checkpoint: what it is made of changed meanwhile"
            context.world.observe(Note(message=text, warning=True))
        else:
            made = keep(context, key)
    use = attrs.evolve(
        use,
        stage=CheckpointStage.BOOTED if made is None else CheckpointStage.KEPT,
        made=made,
        deployed=_list_deployed(context),
    )
    write_use(layout, use, files)
    return attrs.evolve(report, checkpoint=use)


def _restore(lab: CachedLab, use: CheckpointUse) -> StartReport | None:
    """Let a lab go on from the memories it was made with; ``None`` where it has to boot.

    Raises:
        HostError: The host cannot be brought up, whatever the memories are.
    """
    context = lab.get_context()
    world, layout, key = context.world, context.layout, use.key or ""
    try:
        if _make_key(context, read_plan(layout)).digest != key:
            text = "what the lab is made of has changed since it was made: it boots"
            world.observe(Note(message=text, warning=True))
            lab.make_anew()
            return None
        if not world.host.is_ended():
            world.host.end()  # a restore that was cut off
        frozen = read_frozen(layout)
        with context.step("restore checkpoint", key[:SHORT]):
            report = _run_on(context, frozen)
    except (HostError, LockedError):
        raise
    except (LagoError, OSError, ValueError, KeyError, ExceptionGroup) as error:
        discard(context, key, describe_failure(error))
        lab.make_anew()
        return None
    use = attrs.evolve(use, stage=CheckpointStage.RESTORED, deployed=_list_deployed(context))
    write_use(layout, use, world.files)
    world.files.remove_tree(layout.fork_state)
    return attrs.evolve(report, checkpoint=use)


def _run_on(context: PrefixContext, frozen: Sequence[FrozenVM]) -> StartReport:
    try:
        report = run_on(context, frozen, make_overlays(context, frozen))
        assert report is not None, "a checkpoint is one of VMs that run"
        for vm in context.plan.vms:
            if answers_ssh(vm):
                wait_for_ssh(vm, context=context, timeout=_ANSWER_SECONDS, give_up=lambda: None)
    except BaseException:
        context.guests.forget()
        context.world.host.end()
        raise
    return report


def _find_key(context: PrefixContext, use: CheckpointUse) -> Key | None:
    """Return the key of a lab that may be kept, ``None`` for one that may not."""
    if use.stage is not CheckpointStage.COLD:
        return None
    try:
        key = _make_key(context)
        open_store(context).lock_path(key)
    except LagoError as error:
        text = f"the lab will not be kept as a checkpoint: {error.message}"
        context.world.observe(Note(message=text, warning=True))
        return None
    if key.digest != use.key:
        text = "the lab will not be kept: what it is made of has changed since it was made"
        context.world.observe(Note(message=text, warning=True))
        return None
    return key


def _make_key(context: PrefixContext, plan: Plan | None = None) -> Key:
    return make_key(plan or context.plan, layout=context.layout, world=context.world)


def _list_deployed(context: PrefixContext) -> tuple[str, ...]:
    return tuple(vm.name for vm in context.plan.vms if vm.spec.deploy_scripts)


def get_use(context: PrefixContext) -> CheckpointUse:
    """Return what a lab that uses the cache has to do with it."""
    use = find_use(context.layout)
    assert use is not None, "a lab that uses the cache says so"
    return use
