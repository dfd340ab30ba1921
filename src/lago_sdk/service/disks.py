"""Disks of a prefix: find what they are made of, and make them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.codec.expand import expand
from lago_sdk.errors import LagoError, VMError
from lago_sdk.spec.disk import EmptyDisk, FileDisk, TemplateDisk, TemplateType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import DiskPlan, Image, Plan, VMPlan
    from lago_sdk.ports import Templates
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec


def find_images(spec: PrefixSpec, templates: Templates, *, fetch: bool) -> dict[str, Image]:
    """Return the image of each template that *spec* names, by ``name`` or ``name:version``.

    Args:
        spec: What was asked.
        templates: Where templates come from.
        fetch: Get what the store lacks; else it is left out.

    Raises:
        TemplateError: With *fetch*, a template cannot be had.
    """
    images: dict[str, Image] = {}
    for vm in spec.vms:
        for disk in vm.disks:
            if not isinstance(disk, TemplateDisk) or disk.template_name is None:
                continue
            name, version = disk.template_name, disk.template_version
            reference = f"{name}:{version}" if version else name
            if reference in images:
                continue
            find = templates.get if fetch else templates.find
            image = find(name, version)
            if image is not None:
                images[reference] = image
    return images


def resolve_disks(plan: Plan, *, spec: PrefixSpec, layout: PrefixLayout, world: World) -> Plan:
    """Return *plan* with the paths of users' own images made absolute.

    Raises:
        VMError: An image is not there.
    """
    variables = path_variables(spec, layout, world.environ)
    vms = []
    for vm in plan.vms:
        disks = tuple(_resolve_disk(vm, disk, spec, variables, world) for disk in vm.disks)
        vms.append(attrs.evolve(vm, disks=disks))
    return attrs.evolve(plan, vms=tuple(vms))


def path_variables(
    spec: PrefixSpec, layout: PrefixLayout, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that paths of the init file may use."""
    variables = dict(environ)
    variables["LAGO_PREFIX_PATH"] = str(layout.path)
    variables["LAGO_WORKDIR_PATH"] = str(layout.path.parent)
    if spec.init_dir is not None:
        variables["LAGO_INITFILE_PATH"] = spec.init_dir
    return variables


def find_path(text: str, *, init_dir: str | None, variables: Mapping[str, str]) -> Path:
    """Return the absolute path that a path of the init file means.

    A relative path is looked for beside the init file first, then where we run.
    """
    path = Path(expand(text, variables))
    if path.is_absolute():
        return path
    beside = Path(init_dir or ".", path).absolute()
    return beside if beside.exists() else path.absolute()


def _resolve_disk(
    vm: VMPlan, disk: DiskPlan, spec: PrefixSpec, variables: Mapping[str, str], world: World
) -> DiskPlan:
    asked = disk.spec
    if isinstance(asked, TemplateDisk) and asked.template_type is TemplateType.QCOW2:
        path = _get_image_path(vm, disk, asked.path or "", spec, variables)
        return attrs.evolve(disk, backing=world.images.inspect(path))
    if isinstance(asked, FileDisk) and asked.path is not None and asked.url is None:
        path = _get_image_path(vm, disk, asked.path, spec, variables)
        if not disk.owned:
            return attrs.evolve(disk, path=str(path))
    return disk


def _get_image_path(
    vm: VMPlan, disk: DiskPlan, text: str, spec: PrefixSpec, variables: Mapping[str, str]
) -> Path:
    path = find_path(text, init_dir=spec.init_dir, variables=variables)
    if not path.is_file():
        raise VMError(
            vm.name,
            f"disk {disk.name!r} of {vm.name!r}: there is no image file {str(path)!r}",
            hint=None if str(path) == text else f"the init file says {text!r}",
        )
    return path


def create_disk(
    vm: VMPlan, disk: DiskPlan, *, layout: PrefixLayout, spec: PrefixSpec, world: World
) -> None:
    """Make the image of one disk where the prefix owns it; an image that is there is kept.

    The image is made under a temporary name, so one that is there is whole.

    Raises:
        VMError: It cannot be made.
    """
    target = layout.path / disk.path
    if not disk.owned or target.exists():
        return
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        _create_image(unfinished, vm, disk, layout=layout, spec=spec, world=world)
        os.replace(unfinished, target)  # noqa: PTH105 - one system call, made plain
    except LagoError as error:
        raise VMError(
            vm.name, f"disk {disk.name!r} of {vm.name!r}: {error.message}", hint=error.hint
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _create_image(
    path: Path,
    vm: VMPlan,
    disk: DiskPlan,
    *,
    layout: PrefixLayout,
    spec: PrefixSpec,
    world: World,
) -> None:
    asked = disk.spec
    if isinstance(asked, TemplateDisk):
        if disk.backing is None:
            message = f"disk {disk.name!r} of {vm.name!r} has no template to be made on"
            raise VMError(vm.name, message)
        world.images.create_overlay(path, disk.backing, size=asked.size)
    elif isinstance(asked, EmptyDisk):
        world.images.create_empty(path, size=asked.size, image_format=disk.format)
    elif isinstance(asked, FileDisk) and asked.path is not None:
        variables = path_variables(spec, layout, world.environ)
        source = _get_image_path(vm, disk, asked.path, spec, variables)
        world.images.copy(source, path)
