"""Writing VMs as appliances: an OVA for each, which other products import too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.render.ovf import ApplianceDisk, render_manifest, render_ovf
from lago_sdk.service.exporting.describe import fits_appliance, name_appliance
from lago_sdk.service.exporting.disks import make_teller
from lago_sdk.service.exporting.model import ExportedDisk, count_bytes
from lago_sdk.service.parallel import Cancellation, run_parallel

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.exporting.choose import DiskWork, ExportPlan

_STAGE = "export appliance"


def write_appliances(
    export: ExportPlan, directory: Path, context: PrefixContext
) -> tuple[ExportedDisk, ...]:
    """Write an OVA for each VM that has disks; returns the disks that are in them.

    Args:
        export: What is exported.
        directory: Where to.
        context: The prefix; locked.

    Raises:
        ImageError: A disk cannot be read or an archive not be written.
        ExceptionGroup: Several VMs failed.
    """
    works = {
        vm.name: [work for work in export.disks if work.vm is vm and fits_appliance(work)]
        for vm in export.vms
    }
    cancellation = Cancellation()

    def write(vm: VMPlan) -> tuple[ExportedDisk, ...]:
        with context.step(_STAGE, vm.name) as running:
            target = directory / name_appliance(vm)
            disks = _write(works[vm.name], target, context, cancellation)
            running.tell(f"{target.name}, {count_bytes(target) / 1024**2:.1f} MiB")
        return disks

    written = run_parallel(
        write,
        [vm for vm in export.vms if works[vm.name]],
        limit=context.world.cpus,
        message="several appliances could not be written",
        cancellation=cancellation,
    )
    return tuple(disk for disks in written for disk in disks)


def _write(
    works: list[DiskWork], target: Path, context: PrefixContext, cancellation: Cancellation
) -> tuple[ExportedDisk, ...]:
    world, vm = context.world, works[0].vm
    parts = target.with_name(f".{target.stem}")
    parts.mkdir()
    try:
        disks = [
            _write_disk(work, parts / f"{target.stem}-disk{index}.vmdk", context, cancellation)
            for index, work in enumerate(works, 1)
        ]
        described = [
            ApplianceDisk(file=disk.path.name, file_size=disk.file_size, capacity=disk.size)
            for disk in disks
        ]
        descriptor, manifest = parts / f"{target.stem}.ovf", parts / f"{target.stem}.mf"
        world.files.write_atomic(descriptor, render_ovf(vm, described))
        own = world.packer.make_digest(descriptor, progress=_ignore)
        digests = {descriptor.name: own} | {disk.path.name: disk.digest for disk in disks}
        plain = {name: digest.partition(":")[2] for name, digest in digests.items()}
        world.files.write_atomic(manifest, render_manifest(plain))
        files = [descriptor, manifest, *(disk.path for disk in disks)]
        tell = make_teller(world.observe, _STAGE, vm.name, cancellation)
        world.archives.create_archive(target, {path.name: path for path in files}, progress=tell)
    finally:
        world.files.remove_tree(parts)
    return tuple(disk.moved(target) for disk in disks)


def _write_disk(
    work: DiskWork, path: Path, context: PrefixContext, cancellation: Cancellation
) -> ExportedDisk:
    world = context.world
    tell = make_teller(world.observe, "export disk", work.subject, cancellation)
    world.images.create_vmdk(work.source, path, image_format=work.disk.format, progress=tell)
    tell = make_teller(world.observe, "check digest", work.subject, cancellation)
    return ExportedDisk(
        vm=work.vm.name,
        disk=work.disk.name,
        path=path,
        digest=world.packer.make_digest(path, progress=tell),
        size=world.images.inspect(work.source).size,
        file_size=path.stat().st_size,
    )


def _ignore(done: int, total: int | None) -> None:
    pass
