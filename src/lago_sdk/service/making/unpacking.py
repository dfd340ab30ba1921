"""Compressed images that an init file names: decompressed into the prefix, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import attrs

from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.errors import ImageError, LagoError, VMError
from lago_sdk.events import report_bytes, stage
from lago_sdk.spec.disk import TemplateDisk, TemplateType

if TYPE_CHECKING:
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.disk import DiskSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_STAGE = "decompress"


def unpack_images(spec: PrefixSpec, *, layout: PrefixLayout, world: World) -> PrefixSpec:
    """Return *spec* with compressed images below overlays decompressed into the prefix.

    Args:
        spec: What was asked; its paths are settled.
        layout: Where the prefix lies.
        world: The ports.

    Raises:
        VMError: An image is damaged, or there is no room for it.
    """
    return attrs.evolve(spec, vms=tuple(_unpack_vm(vm, layout, world) for vm in spec.vms))


def _unpack_vm(vm: VMSpec, layout: PrefixLayout, world: World) -> VMSpec:
    disks: list[DiskSpec] = []
    for index, disk in enumerate(vm.disks):
        if _is_below(disk) and world.packer.is_packed(Path(disk.path or "")):
            name = disk.name or f"disk{index}"
            try:
                target = _unpack(vm.name, index, disk, layout, world)
            except LagoError as error:
                message = f"disk {name!r} of {vm.name!r}: {error.message}"
                raise VMError(vm.name, message, hint=error.hint) from error
            disks.append(attrs.evolve(disk, path=str(target)))
        else:
            disks.append(disk)
    return attrs.evolve(vm, disks=tuple(disks))


def _is_below(disk: DiskSpec) -> TypeGuard[TemplateDisk]:
    return isinstance(disk, TemplateDisk) and disk.template_type is TemplateType.QCOW2


def _unpack(vm: str, index: int, disk: TemplateDisk, layout: PrefixLayout, world: World) -> Path:
    directory = layout.appliances / allocate_file_stem(vm, taken=())
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"image{index}.qcow2"
    if not target.exists():
        unfinished = target.with_suffix(".part")
        try:
            unpack(Path(disk.path or ""), unfinished, subject=vm, world=world)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def unpack(source: Path, path: Path, *, subject: str, world: World) -> None:
    """Decompress *source* to *path*, and tell how far it has come.

    Args:
        source: A compressed file.
        path: The new file.
        subject: The VM it is for.
        world: The ports.

    Raises:
        ImageError: It is damaged, or there is no room for it; nothing is left at *path* then.
    """
    tell = report_bytes(world.observe, _STAGE, subject)
    with stage(world.observe, _STAGE, subject) as running:
        running.tell(source.name)
        world.packer.unpack(source, path, progress=tell)


def unpack_in_place(path: Path, *, subject: str, world: World) -> None:
    """Decompress a file that was downloaded, where it is compressed.

    Raises:
        ImageError: It is damaged, or there is no room for it; *path* is gone then.
    """
    if not world.packer.is_packed(path):
        return
    packed = path.with_name(f".{path.name}.packed")
    path.replace(packed)
    try:
        unpack(packed, path, subject=subject, world=world)
    finally:
        packed.unlink(missing_ok=True)


def check_plain(path: Path, world: World) -> None:
    """Check that an image which guests write to is not compressed.

    Raises:
        ImageError: It is.
    """
    if world.packer.is_packed(path):
        raise ImageError(
            f"{path} is compressed, which only copies can be made of",
            hint="add 'make_a_copy: true', or use 'type: template' with 'template_type: qcow2'",
        )
