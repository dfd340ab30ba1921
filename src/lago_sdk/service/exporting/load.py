"""Taking in an export: all of it is checked before anything is made of it.

An init file may name any file of this machine: its author is trusted. An export comes from
elsewhere, so what is made of it must be in its own directory, and be what it says it is.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ExportError, ImageError, LagoError
from lago_sdk.events import Observer, stage
from lago_sdk.ports import ImagePacker, ImageTool, Templates
from lago_sdk.service.exporting.disks import make_teller
from lago_sdk.service.exporting.manifest import load_manifest
from lago_sdk.service.exporting.model import INIT_FILE, MANIFEST
from lago_sdk.service.making.chains import BASE_DIGEST, check_base
from lago_sdk.service.making.paths import find_path, is_url
from lago_sdk.service.parallel import Cancellation, run_parallel
from lago_sdk.spec.disk import DiskFormat, DiskSpec, FileDisk, TemplateDisk, TemplateType

if TYPE_CHECKING:
    from lago_sdk.service.exporting.manifest import FileRecord, Manifest
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_HEAD = 64 << 10
"""Bytes of an image that tell which other file it is on."""


@attrs.frozen(kw_only=True)
class ExportTools:
    """What an export is looked at with."""

    images: ImageTool
    packer: ImagePacker
    templates: Templates
    observe: Observer
    cpus: int


def load_export(directory: Path, tools: ExportTools) -> PrefixSpec:
    """Check an export; returns the spec of what is made from it.

    Disks become copies of their own, so that the export can go afterwards.

    Args:
        directory: The export; absolute.
        tools: What it is looked at with.

    Raises:
        ExportError: It is none, is damaged or truncated, or refers to what is outside of it.
        SpecError: Its init file is wrong.
        TemplateError: A template that it needs cannot be had.
        ImageError: A template that it needs is another one here.
        ExceptionGroup: Several files are damaged.
    """
    from lago_sdk.spec.prefix import PrefixSpec

    manifest = load_manifest(directory / MANIFEST)
    with stage(tools.observe, "check export", directory.name) as running:
        _check_files(directory, manifest, tools)
        running.tell(f"{len(manifest.files)} files, sha256 verified")
    spec = PrefixSpec.load(directory / INIT_FILE)
    confined = Confinement(directory, manifest, tools)
    vms = tuple(confined.settle_vm(vm) for vm in spec.vms)
    for reference, digest in manifest.templates.items():
        name, _, version = reference.partition(":")
        check_base(reference, digest, tools.templates.get(name, version or None))
    return attrs.evolve(spec, vms=vms, init_dir=str(directory))


def _check_files(directory: Path, manifest: Manifest, tools: ExportTools) -> None:
    """Check sizes first, which takes no time, then digests."""
    for name, record in manifest.files.items():
        _check_size(directory / name, record)
    cancellation = Cancellation()

    def check(item: tuple[str, FileRecord]) -> None:
        name, record = item
        tell = make_teller(tools.observe, "check digest", name, cancellation)
        found = tools.packer.make_digest(directory / name, progress=tell)
        if found != record.digest:
            raise ExportError(
                f"{str(directory / name)!r} is damaged: it has the digest {found}, and "
                f"{MANIFEST} says {record.digest}",
                hint="get the export again",
            )

    run_parallel(
        check,
        manifest.files.items(),
        limit=tools.cpus,
        message="several files of the export are damaged",
        cancellation=cancellation,
    )


def _check_size(path: Path, record: FileRecord) -> None:
    try:
        info = path.lstat()
    except FileNotFoundError as error:
        raise ExportError(f"{str(path)!r} is missing", hint="get the export again") from error
    except OSError as error:
        raise ExportError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if not stat.S_ISREG(info.st_mode):
        kind = "a link" if stat.S_ISLNK(info.st_mode) else "no file"
        raise ExportError(f"{str(path)!r} is {kind}, and an export has plain files only")
    if info.st_size != record.size:
        state = "truncated" if info.st_size < record.size else "damaged"
        raise ExportError(
            f"{str(path)!r} is {state}: it has {info.st_size} bytes, and {MANIFEST} says "
            f"{record.size}",
            hint="get the export again",
        )


class Confinement:
    """Makes specs from an export's init file that name nothing outside of the export."""

    def __init__(self, directory: Path, manifest: Manifest, tools: ExportTools) -> None:
        self._directory = directory
        self._manifest = manifest
        self._tools = tools

    def settle_vm(self, vm: VMSpec) -> VMSpec:
        """Return *vm* with its paths absolute, and disks that are copies.

        Raises:
            ExportError: It asks for more than an export may.
        """
        given = {
            "shares": vm.shares,
            "xml": vm.xml,
            "ssh-key": vm.ssh_key,
            "build": next((disk.build for disk in vm.disks if disk.build), None),
        }
        for key, value in given.items():
            if value:
                raise self._refuse(vm.name, f"{key!r}, by which it could reach this machine")
        return attrs.evolve(
            vm,
            ova=None if vm.ova is None else self._find(vm.name, vm.ova),
            kernel=None if vm.kernel is None else self._find(vm.name, vm.kernel),
            initrd=None if vm.initrd is None else self._find(vm.name, vm.initrd),
            deploy_scripts=tuple(self._find(vm.name, path) for path in vm.deploy_scripts),
            disks=tuple(self._settle_disk(vm.name, disk) for disk in vm.disks),
        )

    def _settle_disk(self, vm: str, disk: DiskSpec) -> DiskSpec:
        if isinstance(disk, FileDisk):
            if disk.url is not None:
                raise self._refuse(vm, f"the URL {disk.url!r}")
            path, image_format = self._find(vm, disk.path or ""), disk.format
        elif isinstance(disk, TemplateDisk) and disk.template_type is TemplateType.QCOW2:
            path, image_format = self._find(vm, disk.path or ""), DiskFormat.QCOW2
        else:
            return disk
        if image_format is DiskFormat.QCOW2:
            self._check_image(vm, Path(path), disk)
        return FileDisk(
            name=disk.name,
            dev=disk.dev,
            bus=disk.bus,
            serial=disk.serial,
            cache=disk.cache,
            comment=disk.comment,
            metadata=disk.metadata,
            skip_export=disk.skip_export,
            format=image_format,
            path=path,
            make_a_copy=True,
        )

    def _check_image(self, vm: str, path: Path, disk: DiskSpec) -> None:
        """Look at an image without opening what it names."""
        try:
            head = self._tools.packer.read_head(path, _HEAD)
            backing = self._tools.images.find_backing(head)
        except ImageError as error:
            message = f"{str(path)!r} cannot be used for {vm!r}: {error.message}"
            raise ExportError(message, hint=error.hint) from error
        if backing is None:
            return
        reference = backing.removeprefix("./")
        digest = self._manifest.templates.get(reference)
        if backing == reference or digest is None or disk.metadata.get(BASE_DIGEST) != digest:
            raise self._refuse(vm, f"an image on {backing!r}, which is no template of the export")

    def _find(self, vm: str, text: str) -> str:
        """Return the absolute path of a file of the export."""
        if is_url(text):
            raise self._refuse(vm, f"the URL {text!r}")
        here = {"LAGO_INITFILE_PATH": str(self._directory)}
        path = find_path(text, init_dir=str(self._directory), variables=here)
        if path.parent != self._directory or path.name not in self._manifest.files:
            raise self._refuse(vm, f"the file {text!r}")
        return str(path)

    def _refuse(self, vm: str, what: str) -> LagoError:
        return ExportError(
            f"the export gives {vm!r} {what}, which is outside of it",
            hint=f"if you trust who made it: lagoctl init {self._directory / INIT_FILE}",
        )
