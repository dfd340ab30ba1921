"""Appliances: a domain of ``type: ova`` becomes one with disks, memory and CPUs of its own.

Each image of the archive is put into the prefix and serves as the backing file of a disk; the
archive's disks come before those of the init file, whose memory and CPUs win.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import attrs

from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.codec.ovf import parse_manifest, parse_ovf
from lago_sdk.errors import ImageError, LagoError, VMError
from lago_sdk.events import stage
from lago_sdk.service.making.downloads import fetch_url
from lago_sdk.service.making.paths import is_url
from lago_sdk.spec.disk import DiskSpec, EmptyDisk, TemplateDisk, TemplateType

if TYPE_CHECKING:
    from lago_sdk.codec.ovf import OvfDisk, OvfMachine
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_MEMORY, _VCPU = 1024, 2
"""MiB and CPUs where neither the init file nor the archive says anything."""
_OVIRT_ROOT = "/dev/sda1"
"""Where Lago looked for the root file system of an oVirt appliance."""


@attrs.frozen(kw_only=True)
class _Appliance:
    """An archive that was looked through."""

    path: Path
    files: Mapping[str, int]
    """Sizes of its files, by name."""
    descriptor: str
    digests: Mapping[str, tuple[str, str]]
    """Algorithm and hex digits by file, as far as it has a manifest."""


def import_appliances(spec: PrefixSpec, *, layout: PrefixLayout, world: World) -> PrefixSpec:
    """Return *spec* with the contents of its appliances, which are unpacked into the prefix.

    Args:
        spec: What was asked; its paths are settled.
        layout: Where the prefix lies.
        world: The ports.

    Raises:
        VMError: An archive cannot be had, is unsafe or damaged.
    """
    vms = []
    for vm in spec.vms:
        if vm.ova is None:
            vms.append(vm)
            continue
        with stage(world.observe, "import appliance", vm.name):
            try:
                vms.append(_import_appliance(vm, layout=layout, world=world))
            except LagoError as error:
                message = f"the appliance of {vm.name!r}: {error.message}"
                raise VMError(vm.name, message, hint=error.hint) from error
    return attrs.evolve(spec, vms=tuple(vms))


def _import_appliance(vm: VMSpec, *, layout: PrefixLayout, world: World) -> VMSpec:
    directory = layout.appliances / allocate_file_stem(vm.name, taken=())
    directory.mkdir(parents=True, exist_ok=True)
    source = vm.ova or ""
    archive = Path(source)
    if is_url(source):
        archive = directory / "archive.ova"
        if not archive.exists():
            fetch_url(source, archive, subject=vm.name, world=world)
    opened = _open(archive, world)
    text = world.archives.read_file(archive, opened.descriptor)
    check_member(opened.descriptor, opened.digests, io.BytesIO(text))
    machine = parse_ovf(text, source=f"{opened.descriptor} of {archive.name}")
    disks = tuple(
        _import_disk(disk, directory / f"disk{index}.img", opened, world)
        for index, disk in enumerate(machine.disks)
    )
    if is_url(source):
        archive.unlink()
    return describe_vm(vm, machine, disks)


def describe_vm(vm: VMSpec, machine: OvfMachine, disks: tuple[DiskSpec, ...]) -> VMSpec:
    """Return *vm* with the disks of an appliance, and its memory and CPUs where it names none."""
    return attrs.evolve(
        vm,
        memory=vm.memory or machine.memory or _MEMORY,
        vcpu=vm.vcpu or machine.vcpu or _VCPU,
        disks=(*disks, *vm.disks),
    )


def find_descriptor(files: Mapping[str, int], archive: str) -> str:
    """Return the name of the one OVF descriptor among *files*.

    Raises:
        ImageError: There is none, or there are several.
    """
    found = [name for name in files if PurePosixPath(name).suffix.lower() == ".ovf"]
    if len(found) != 1:
        count = f"{len(found)} OVF descriptors" if found else "no OVF descriptor"
        raise ImageError(f"{archive} has {count}, and an appliance has one")
    return found[0]


def _open(archive: Path, world: World) -> _Appliance:
    files = world.archives.list_files(archive)
    descriptor = find_descriptor(files, archive.name)
    manifest = str(PurePosixPath(descriptor).with_suffix(".mf"))
    digests: dict[str, tuple[str, str]] = {}
    if manifest in files:
        text = world.archives.read_file(archive, manifest)
        beside = PurePosixPath(descriptor).parent
        listed = parse_manifest(text, source=f"{manifest} of {archive.name}")
        digests = {str(beside / name): digest for name, digest in listed.items()}
    return _Appliance(path=archive, files=files, descriptor=descriptor, digests=digests)


def check_member(
    name: str, digests: Mapping[str, tuple[str, str]], content: io.BufferedReader | io.BytesIO
) -> None:
    """Check a file of an archive by the manifest, where that has it.

    Raises:
        ImageError: It has another digest.
    """
    if name not in digests:
        return
    algorithm, wanted = digests[name]
    found = hashlib.file_digest(content, algorithm).hexdigest()
    if found != wanted:
        raise ImageError(
            f"{name!r} is damaged: its {algorithm} is {found}, and the manifest says {wanted}",
            hint="get the archive again",
        )


def find_member(name: str, descriptor: str, files: Mapping[str, int]) -> str:
    """Return the file of the archive that a descriptor calls *name*.

    It is beside the descriptor in most archives, and below ``images`` in oVirt's.

    Raises:
        ImageError: There is none.
    """
    beside = str(PurePosixPath(descriptor).parent / name)
    for candidate in (beside, str(PurePosixPath(name)), f"images/{name}"):
        if candidate in files:
            return candidate
    raise ImageError(f"{descriptor} names the image {name!r}, which is not in the archive")


def _import_disk(
    disk: OvfDisk,
    target: Path,
    opened: _Appliance,
    world: World,
) -> DiskSpec:
    if disk.file is None:
        return EmptyDisk(size=disk.size or 0)
    member = find_member(disk.file, opened.descriptor, opened.files)
    if not target.exists():
        raw = target.with_suffix(".unpacked")
        unfinished = target.with_suffix(".part")
        try:
            world.archives.extract_file(opened.path, member, raw)
            with raw.open("rb") as file:
                check_member(member, opened.digests, file)
            world.images.import_image(raw, unfinished)
            unfinished.replace(target)
        finally:
            raw.unlink(missing_ok=True)
            unfinished.unlink(missing_ok=True)
    size = world.images.inspect(target).size
    return TemplateDisk(
        template_type=TemplateType.QCOW2,
        path=str(target),
        size=disk.size if disk.size is not None and disk.size > size else None,
        metadata={"root-partition": _OVIRT_ROOT} if member.startswith("images/") else {},
    )
