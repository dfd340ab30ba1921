"""What an export will hold: disks and other files, and what they are called in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.errors import ExportError
from lago_sdk.events import Note
from lago_sdk.plan.models import DiskPlan, Image, VMPlan
from lago_sdk.service.making.deploy_scripts import list_copies
from lago_sdk.service.observing.states import describe_state
from lago_sdk.service.observing.status import observe
from lago_sdk.service.select import select_vms
from lago_sdk.spec.disk import DiskFormat, TemplateDisk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.exporting.model import ExportChoice


@attrs.frozen(kw_only=True)
class Base:
    """A template that a disk is a layer on."""

    reference: str
    """``name:version``."""
    image: Image


@attrs.frozen(kw_only=True)
class DiskWork:
    """A disk that will be exported."""

    vm: VMPlan
    disk: DiskPlan
    source: Path
    """Its image; absolute."""
    name: str
    """The file that it becomes, before it is compressed."""
    base: Base | None = None
    """The template that stays below it; ``None`` for a whole image."""

    @property
    def subject(self) -> str:
        """Which disk it is, for people."""
        return f"{self.vm.name}/{self.disk.name}"


@attrs.frozen(kw_only=True)
class ExportPlan:
    """Everything that an export will hold."""

    vms: tuple[VMPlan, ...]
    disks: tuple[DiskWork, ...]
    files: Mapping[Path, str]
    """Names of other files, by where they are: kernels and scripts."""
    scripts: Mapping[str, tuple[str, ...]]
    """Names of the deploy scripts, by VM."""


def plan_export(
    context: PrefixContext, names: Iterable[str] | None, choice: ExportChoice
) -> ExportPlan:
    """Decide what an export will hold; nothing is written.

    Raises:
        VMNotFoundError: There is no VM of one of the names.
        ExportError: VMs are not off, or there is nothing to export.
        ImageError: A disk is missing or damaged.
    """
    vms = select_vms(context.plan, names)
    if names is None:
        vms = tuple(vm for vm in vms if not vm.spec.skip_export)
    _check_off(vms, context)
    stems: set[str] = set()
    disks = tuple(
        _plan_disk(vm, disk, stems, choice, context)
        for vm in vms
        for disk in vm.disks
        if not vm.is_remote and not disk.spec.skip_export
    )
    if not disks:
        raise ExportError(
            "there is nothing to export: no VM has a disk that is not skipped",
            hint="see skip-export in the init file; a VM that is named is exported all the same",
        )
    _tell_what_stays(vms, context)
    files, scripts = _plan_files(vms, stems, choice, context)
    return ExportPlan(vms=vms, disks=disks, files=files, scripts=scripts)


def _check_off(vms: Iterable[VMPlan], context: PrefixContext) -> None:
    seen = observe(context.plan, context.world.host)
    active = [vm.name for vm in vms if not vm.is_remote and seen.is_active(vm.name)]
    if not active:
        return
    if len(active) == 1:
        state = describe_state(seen.state(active[0]), seen.reason(active[0]))
        message = f"{active[0]!r} is {state}, and only disks of VMs that are off can be exported"
    else:
        message = f"{', '.join(active)} are not off, and only disks of VMs that are can be exported"
    raise ExportError(message, hint=f"lagoctl shutdown {' '.join(active)}")


def _plan_disk(
    vm: VMPlan, disk: DiskPlan, stems: set[str], choice: ExportChoice, context: PrefixContext
) -> DiskWork:
    source = context.layout.path / disk.path
    stem = allocate_file_stem(vm.name, disk.name, taken=stems)
    stems.add(stem)
    base = None
    if not choice.standalone and disk.format is DiskFormat.QCOW2:
        base = _find_base(source, context)
        if base is None and isinstance(disk.spec, TemplateDisk):
            message = f"{vm.name}/{disk.name} is on no template of the store: it is exported whole"
            context.world.observe(Note(message=message))
    return DiskWork(vm=vm, disk=disk, source=source, name=f"{stem}.{disk.format.value}", base=base)


def _find_base(path: Path, context: PrefixContext) -> Base | None:
    """Return the first template below an image, however many layers are between."""
    images, templates = context.world.images, context.world.templates
    image = images.inspect(path)
    while image.backing is not None:
        below = Path(image.backing)
        image = images.inspect(below)
        reference = templates.identify(below)
        if reference is not None:
            found = templates.get(*reference.split(":", 1))
            return Base(reference=reference, image=found)
    return None


def _tell_what_stays(vms: Iterable[VMPlan], context: PrefixContext) -> None:
    for vm in vms:
        lost = [f"the directory {share.source}" for share in vm.spec.shares]
        lost += ["the state of its TPM"] if vm.spec.tpm else []
        if lost:
            message = f"{vm.name}: {' and '.join(lost)} cannot be exported"
            context.world.observe(Note(message=message, warning=True))


def _plan_files(
    vms: Iterable[VMPlan], stems: set[str], choice: ExportChoice, context: PrefixContext
) -> tuple[dict[Path, str], dict[str, tuple[str, ...]]]:
    files: dict[Path, str] = {}
    scripts: dict[str, tuple[str, ...]] = {}

    def add(path: Path) -> str:
        if path not in files:
            files[path] = allocate_file_stem("file", path.name, taken=stems)
            stems.add(files[path])
        return files[path]

    for vm in vms:
        for name in (vm.spec.kernel, vm.spec.initrd):
            if name is not None:
                add(Path(name))
        if choice.scripts:
            copies = list_copies(vm, plan=context.plan, layout=context.layout)
            scripts[vm.name] = tuple(add(path) for path in copies)
    return files, scripts
