"""Disks: device names, buses and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.alloc.devices import allocate_devices
from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.plan.models import DiskPlan
from lago_sdk.spec.disk import DiskFormat, DiskSpec, FileDisk, TemplateDisk, TemplateType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import Image
    from lago_sdk.spec.disk import DiskBus
    from lago_sdk.spec.vm import VMSpec

_IDE_MACHINES = ("pc", "pc-i440fx")
"""QEMU's machine types that have an IDE controller, and the versioned names of them."""


def plan_disks(vm: VMSpec, images: Mapping[str, Image], stems: set[str]) -> tuple[DiskPlan, ...]:
    """Decide the disks of one VM, in order.

    Args:
        vm: The VM.
        images: Images of templates, by ``name`` or ``name:version``; for a ``qcow2`` template
            disk by its ``path`` as written. What is missing leaves ``backing`` open.
        stems: File names without suffix in the prefix's ``images``; those of the disks are added.
    """
    devices = allocate_devices(vm.disks, has_ide=_has_ide(vm.machine))
    names = _name_disks(vm.disks)
    return tuple(
        _plan_disk(vm.name, disk, name, device, images, stems)
        for disk, name, device in zip(vm.disks, names, devices, strict=True)
    )


def _plan_disk(
    vm: str,
    disk: DiskSpec,
    name: str,
    device: tuple[str, DiskBus],
    images: Mapping[str, Image],
    stems: set[str],
) -> DiskPlan:
    dev, bus = device
    in_place = find_path_in_place(disk)
    # An overlay is qcow2 whatever is below it.
    image_format = DiskFormat.QCOW2 if isinstance(disk, TemplateDisk) else disk.format
    if in_place is None:
        stem = allocate_file_stem(vm, name, taken=stems)
        stems.add(stem)
    template, backing = _find_backing(disk, images)
    return DiskPlan(
        spec=disk,
        name=name,
        dev=dev,
        bus=bus,
        path=in_place or f"images/{stem}.{image_format.value}",
        format=image_format,
        template=template,
        backing=backing,
        owned=in_place is None,
    )


def find_path_in_place(disk: DiskSpec) -> str | None:
    """Return the path, as written, of an image that is used where it is; ``None`` for others.

    What is downloaded goes there too, where a path is given.
    """
    if isinstance(disk, FileDisk) and not disk.make_a_copy:
        return disk.path
    return None


def _find_backing(disk: DiskSpec, images: Mapping[str, Image]) -> tuple[str | None, Image | None]:
    """Return the name of the template below *disk* and its image, as far as there are any."""
    if not isinstance(disk, TemplateDisk):
        return None, None
    if disk.template_type is TemplateType.QCOW2:
        return None, images.get(disk.path or "")
    template = disk.template_name or ""
    if disk.template_version is not None:
        template = f"{template}:{disk.template_version}"
    return template or None, images.get(template)


def _name_disks(disks: Sequence[DiskSpec]) -> list[str]:
    used = {disk.name for disk in disks}
    names = []
    for index, disk in enumerate(disks):
        name, number = disk.name, index
        while not name or (not disk.name and name in used):
            name, number = f"disk{number}", number + 1
        used.add(name)
        names.append(name)
    return names


def _has_ide(machine: str | None) -> bool:
    return machine is not None and (
        machine == _IDE_MACHINES[0] or machine.startswith(_IDE_MACHINES[1])
    )
