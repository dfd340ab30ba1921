"""Collecting: what the spec calls artifacts is fetched from guests, whether they run or not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ApplianceNeededError, LagoError, PathNotFoundError
from lago_sdk.events import stage
from lago_sdk.ports.extraction import Skipped
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.seeing.extract import ExtractRoad, extract, extract_by_appliance, is_off
from lago_sdk.service.seeing.rotate import check_target, rotate
from lago_sdk.service.select import select_vms
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Extraction
    from lago_sdk.service.context import PrefixContext

_AT_ONCE = 16


@attrs.frozen(kw_only=True)
class VMArtifacts:
    """What was collected from one VM."""

    name: str
    road: ExtractRoad | None
    """How it came; ``None`` where nothing was asked for, or nothing could be had."""
    collected: Mapping[str, Path] = attrs.field(factory=dict)
    """Where each path of the guest is now."""
    missing: tuple[str, ...] = ()
    """Paths that the guest does not have."""
    skipped: tuple[Skipped, ...] = ()
    """What lay below those paths and was left in the guest: devices, links that lead out, …"""
    error: LagoError | None = None
    """Why nothing, or not all, could be had."""


@attrs.frozen(kw_only=True)
class CollectReport:
    """What was collected."""

    output_dir: Path
    """Has a directory for each VM that had something."""
    rotated: Path | None
    """What was at *output_dir* before is here now."""
    vms: Mapping[str, VMArtifacts]
    """By name of the VM; those without artifacts are absent."""
    seconds: float

    @property
    def errors(self) -> tuple[LagoError, ...]:
        """What went wrong, a VM each."""
        return tuple(vm.error for vm in self.vms.values() if vm.error is not None)

    def check(self) -> CollectReport:
        """Return self when every VM gave what it had.

        Raises:
            LagoError: One VM did not.
            ExceptionGroup: Several did not.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise ExceptionGroup("from several VMs not all was collected", self.errors)
        return self


def collect(
    context: PrefixContext,
    names: Iterable[str] | None,
    output_dir: Path,
    *,
    ignore_missing: bool,
    timeout: float | None,
) -> CollectReport:
    """Fetch the artifacts of VMs; see `lago_sdk.Prefix.collect_artifacts`."""
    begin = time.monotonic()
    vms = [vm for vm in select_vms(context.plan, names) if vm.spec.artifacts]
    output_dir = output_dir.absolute()
    check_target(output_dir, context.layout.path)
    rotated = rotate(output_dir)
    with hold_disks(context, vms) as states:
        places = {vm.name: _name_places(vm, output_dir / vm.name) for vm in vms}

        def work(vm: VMPlan) -> VMArtifacts | None:
            return _collect_vm(vm, context, states[vm.name], places[vm.name], timeout)

        quick = run_parallel(work, vms, limit=_AT_ONCE, message="collecting failed")
        slow = [vm for vm, artifacts in zip(vms, quick, strict=True) if artifacts is None]
        came = _collect_by_appliance(slow, context, places)
        found = [artifacts or came[vm.name] for vm, artifacts in zip(vms, quick, strict=True)]
    report = CollectReport(
        output_dir=output_dir,
        rotated=rotated,
        vms={vm.name: vm if ignore_missing else _count_missing(vm) for vm in found},
        seconds=time.monotonic() - begin,
    )
    return report if ignore_missing else report.check()


def extract_paths(
    vm: VMPlan,
    paths: Sequence[tuple[str, Path]],
    context: PrefixContext,
    *,
    ignore_missing: bool,
    timeout: float | None,
) -> Extraction:
    """Copy files and directories from one VM; see `lago_sdk.VM.extract_paths`."""
    with hold_disks(context, [vm]) as states:
        _, found = extract(vm, paths, context, state=states[vm.name], timeout=timeout)
    if found.missing and not ignore_missing:
        raise PathNotFoundError(vm.name, found.missing)
    return found


@contextlib.contextmanager
def hold_disks(context: PrefixContext, vms: Iterable[VMPlan]) -> Iterator[Mapping[str, VMState]]:
    """Have the states of *vms* for the block; nobody starts those that are off meanwhile.

    Raises:
        LockedError: Somebody is changing the prefix.
        HostError: libvirtd does not answer.
    """
    chosen = tuple(vms)
    with contextlib.ExitStack() as stack:
        states = _look(context, chosen)
        if any(is_off(state) for state in states.values()):
            world = context.world
            lock = world.files.lock(
                context.layout.lock, timeout=world.config.lock_timeout, purpose="read disks"
            )
            stack.enter_context(lock)
            states = _look(context, chosen)
        yield states


def name_artifact(path: str, taken: Iterable[str]) -> str:
    """Return what a path of a guest is called in the output: ``/`` becomes ``_``, as with Lago.

    Args:
        path: The path.
        taken: Names that others have; a number is put behind one that would be the same.
    """
    used = set(taken)
    plain = path.replace("/", "_")
    if plain in {"", ".", ".."}:
        plain = f"_{plain}"
    name, number = plain, 2
    while name in used:
        name, number = f"{plain}_{number}", number + 1
    return name


def _look(context: PrefixContext, vms: tuple[VMPlan, ...]) -> dict[str, VMState]:
    seen = observe(context.plan, context.world.host)
    return {vm.name: VMState.RUNNING if vm.is_remote else seen.state(vm.name) for vm in vms}


def _name_places(vm: VMPlan, directory: Path) -> dict[str, Path]:
    """Return where each artifact of *vm* goes."""
    places: dict[str, Path] = {}
    for path in dict.fromkeys(vm.spec.artifacts):
        places[path] = directory / name_artifact(path, (place.name for place in places.values()))
    return places


def _collect_vm(
    vm: VMPlan,
    context: PrefixContext,
    state: VMState,
    places: Mapping[str, Path],
    timeout: float | None,
) -> VMArtifacts | None:
    """Collect from one VM; ``None`` where that takes an appliance."""
    paths = tuple(places.items())
    try:
        with stage(context.world.observe, "collect", vm.name) as running:
            try:
                road, found = extract(
                    vm, paths, context, state=state, timeout=timeout, may_boot=False
                )
            except ApplianceNeededError:
                running.tell("its disk takes libguestfs")
                return None
            running.tell(f"{len(found.collected)} of {len(places)} paths, by {road.value}")
    except LagoError as error:
        return VMArtifacts(name=vm.name, road=None, error=error)
    return _describe(vm, road, found, places)


def _collect_by_appliance(
    vms: Sequence[VMPlan], context: PrefixContext, places: Mapping[str, Mapping[str, Path]]
) -> dict[str, VMArtifacts]:
    """Collect from the disks of VMs that are off, whatever is on them."""
    if not vms:
        return {}
    report: dict[str, VMArtifacts] = {}
    wanted = [(vm, tuple(places[vm.name].items())) for vm in vms]
    names = ", ".join(vm.name for vm in vms)
    with stage(context.world.observe, "read disks by libguestfs", names):
        came = extract_by_appliance(wanted, context)
    for vm in vms:
        found = came[vm.name]
        if isinstance(found, LagoError):
            report[vm.name] = VMArtifacts(name=vm.name, road=None, error=found)
        else:
            report[vm.name] = _describe(vm, ExtractRoad.DISK, found, places[vm.name])
    return report


def _describe(
    vm: VMPlan, road: ExtractRoad, found: Extraction, places: Mapping[str, Path]
) -> VMArtifacts:
    return VMArtifacts(
        name=vm.name,
        road=road,
        collected={path: places[path] for path in found.collected},
        missing=found.missing,
        skipped=found.skipped,
    )


def _count_missing(vm: VMArtifacts) -> VMArtifacts:
    """Return *vm* with what it lacks as its error."""
    if vm.error is not None or not vm.missing:
        return vm
    return attrs.evolve(vm, error=PathNotFoundError(vm.name, vm.missing))
