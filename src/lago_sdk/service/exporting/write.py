"""Exporting a prefix: a directory that appears whole, or not at all.

Everything is written into a hidden directory beside the target, which is renamed when all is
there. Its name has the prefix's uuid, and the prefix is locked: what a killed export left is
found and removed by the next one to the same target.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lago_sdk.errors import ExportError
from lago_sdk.events import stage
from lago_sdk.service.exporting.appliances import write_appliances
from lago_sdk.service.exporting.choose import plan_export
from lago_sdk.service.exporting.describe import describe_export, fits_appliance
from lago_sdk.service.exporting.disks import make_teller, write_disk
from lago_sdk.service.exporting.manifest import FileRecord, Manifest, render_manifest
from lago_sdk.service.exporting.model import INIT_FILE, MANIFEST, ExportReport, count_bytes
from lago_sdk.service.parallel import Cancellation, run_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.exporting.choose import DiskWork, ExportPlan
    from lago_sdk.service.exporting.disks import WrittenDisk
    from lago_sdk.service.exporting.model import ExportChoice, ExportedDisk
    from lago_sdk.spec.prefix import PrefixSpec

_SECRET, _OPEN = 0o600, 0o644
"""Modes of an init file with passwords, and of one without."""


def export_prefix(
    context: PrefixContext,
    directory: Path,
    *,
    names: Iterable[str] | None,
    asked: PrefixSpec,
    choice: ExportChoice,
    version: str,
) -> ExportReport:
    """Write VMs of a prefix into a new directory.

    Args:
        context: The prefix; locked, so that nobody starts its VMs meanwhile.
        directory: Absolute; nothing is there, or an empty directory.
        names: Names of VMs; all that are not skipped for ``None``.
        asked: The spec that the prefix was made from.
        choice: How.
        version: The library's version, for the record.

    Raises:
        VMNotFoundError: There is no VM of one of the names.
        ExportError: VMs are not off, there is nothing to export, or *directory* is taken.
        ImageError: A disk cannot be read, or the file system is full.
        ExceptionGroup: Several disks failed. Nothing is left in any case.
    """
    begin = time.monotonic()
    check_target(directory)
    export = plan_export(context, names, choice)
    spec = describe_export(export, plan=context.plan, asked=asked, choice=choice)
    text = check_description(spec)
    files = context.world.files
    scratch = directory.with_name(f".{directory.name}.{context.plan.uuid[:8]}.part")
    with stage(context.world.observe, "export", directory.name) as running:
        files.remove_tree(scratch)
        try:
            _make(scratch)
            disks, records = _write_disks(export, scratch, choice, context)
            _copy_files(export, scratch, context)
            secret = any(vm.root_password or vm.ssh_password for vm in spec.vms)
            files.write_atomic(scratch / INIT_FILE, text, mode=_SECRET if secret else _OPEN)
            _write_manifest(scratch, records, export, version, context)
            size = sum(count_bytes(path) for path in scratch.iterdir())
            files.publish(scratch, directory)
        except BaseException:
            files.remove_tree(scratch)
            raise
        running.tell(f"{len(disks)} disks, {size / 1024**2:.1f} MiB")
    return ExportReport(
        directory=directory,
        init_file=directory / INIT_FILE,
        disks=tuple(disk.moved(directory / disk.path.name) for disk in disks),
        vms=tuple(vm.name for vm in export.vms),
        size=size,
        seconds=time.monotonic() - begin,
    )


def check_target(directory: Path) -> None:
    """Return when an export can be written to *directory*.

    Raises:
        ExportError: Something is there, or it has no parent.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise ExportError(f"{str(directory)!r} is there and is no directory", hint="take another")
    if directory.is_dir() and any(directory.iterdir()):
        raise ExportError(
            f"{str(directory)!r} is there already, and not empty",
            hint="name a new directory, or remove it first",
        )
    if not directory.parent.is_dir():
        raise ExportError(
            f"{str(directory)!r} cannot be made: there is no directory {str(directory.parent)!r}",
            hint=f"mkdir -p {directory.parent}",
        )


def check_description(spec: PrefixSpec) -> str:
    """Return the text of the init file that describes an export, which reads as it should.

    Raises:
        SpecError: It does not: nothing could be made from it.
    """
    text = spec.dumps()
    type(spec).loads(text)
    return text


def _make(scratch: Path) -> None:
    try:
        scratch.mkdir(mode=0o755)
    except OSError as error:
        message = f"cannot write to {str(scratch.parent)!r}: {error.strerror or error}"
        raise ExportError(message, hint="may you write there?") from error


def _write_disks(
    export: ExportPlan, scratch: Path, choice: ExportChoice, context: PrefixContext
) -> tuple[tuple[ExportedDisk, ...], Mapping[str, FileRecord]]:
    """Write all disks; returns them in their order, and the records of the files they are in."""
    packed = write_appliances(export, scratch, context) if choice.ova else ()
    works = [work for work in export.disks if not (choice.ova and fits_appliance(work))]
    written = _write_images(works, scratch, choice, context)
    found = {(disk.vm, disk.disk): disk for disk in (*packed, *(item.disk for item in written))}
    disks = tuple(found[work.vm.name, work.disk.name] for work in export.disks)
    return disks, {item.disk.path.name: item.record for item in written}


def _write_images(
    works: Sequence[DiskWork], scratch: Path, choice: ExportChoice, context: PrefixContext
) -> tuple[WrittenDisk, ...]:
    cancellation = Cancellation()
    at_once = max(1, min(context.world.cpus, len(works)))

    def write(work: DiskWork) -> WrittenDisk:
        return write_disk(
            work,
            scratch,
            compression=choice.compression,
            threads=max(1, context.world.cpus // at_once),
            context=context,
            cancellation=cancellation,
        )

    return run_parallel(
        write,
        works,
        limit=at_once,
        message="several disks could not be exported",
        cancellation=cancellation,
    )


def _copy_files(export: ExportPlan, scratch: Path, context: PrefixContext) -> None:
    for path, name in export.files.items():
        context.world.images.copy(path, scratch / name)


def _write_manifest(
    scratch: Path,
    records: Mapping[str, FileRecord],
    export: ExportPlan,
    version: str,
    context: PrefixContext,
) -> None:
    manifest = Manifest(
        made_by=version,
        created=round(time.time(), 3),
        files=_list_files(scratch, records, context),
        templates={
            work.base.reference: work.base.image.digest or ""
            for work in export.disks
            if work.base is not None
        },
    )
    context.world.files.write_atomic(scratch / MANIFEST, render_manifest(manifest))


def _list_files(
    scratch: Path, known: Mapping[str, FileRecord], context: PrefixContext
) -> dict[str, FileRecord]:
    """Return the records of all files; those of the small ones are made here."""
    packer, observe = context.world.packer, context.world.observe
    found = dict(known)
    for path in sorted(scratch.iterdir()):
        if path.name not in found:
            tell = make_teller(observe, "check digest", path.name, Cancellation())
            digest = packer.make_digest(path, progress=tell)
            found[path.name] = FileRecord(path.stat().st_size, digest)
    return found
