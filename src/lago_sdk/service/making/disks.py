"""Disks of a prefix: find what they are made of, and make them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import ImageError, LagoError, VMError
from lago_sdk.events import stage
from lago_sdk.render.virt_customize import render_options
from lago_sdk.service.making.chains import BASE_DIGEST, resolve_chain
from lago_sdk.service.making.downloads import fetch_url
from lago_sdk.service.making.paths import is_url
from lago_sdk.service.making.unpacking import check_plain, unpack, unpack_in_place
from lago_sdk.spec.disk import DiskFormat, EmptyDisk, FileDisk, TemplateDisk, TemplateType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lago_sdk.plan.models import DiskPlan, Image, VMPlan
    from lago_sdk.ports import ImageTool, Templates
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.making.chains import Chain
    from lago_sdk.service.world import World
    from lago_sdk.spec.disk import DiskSpec
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
    found: dict[str, Image] = {}
    for vm in spec.vms:
        for disk in vm.disks:
            if not isinstance(disk, TemplateDisk) or disk.template_name is None:
                continue
            name, version = disk.template_name, disk.template_version
            reference = f"{name}:{version}" if version else name
            if reference in found:
                continue
            find = templates.get if fetch else templates.find
            image = find(name, version)
            if image is not None:
                found[reference] = image
    return found


def find_own_images(
    spec: PrefixSpec, *, images: ImageTool, templates: Templates
) -> dict[str, Image]:
    """Return the image of each ``qcow2`` template disk, by its path, which is settled.

    Raises:
        VMError: An image is damaged, or its backing chain cannot be completed.
    """
    found: dict[str, Image] = {}
    for vm in spec.vms:
        for index, disk in enumerate(vm.disks):
            if not isinstance(disk, TemplateDisk) or not disk.path or disk.path in found:
                continue
            if disk.template_type is not TemplateType.QCOW2:
                continue
            try:
                image = images.inspect(Path(disk.path))
                resolve_chain(
                    image,
                    images=images,
                    templates=templates,
                    base_digest=disk.metadata.get(BASE_DIGEST),
                )
            except LagoError as error:
                raise disk_error(vm.name, disk.name or f"disk{index}", error) from error
            found[disk.path] = image
    return found


def create_disk(
    vm: VMPlan,
    disk: DiskPlan,
    *,
    layout: PrefixLayout,
    world: World,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Make the image of one disk where the prefix owns it; an image that is there is kept.

    The image is made and built under a temporary name, so one that is there is whole. An image
    of the user's own is looked at, downloaded where it has a URL, and built in place.

    Args:
        vm: Whose disk it is.
        disk: The disk.
        layout: Where the prefix lies.
        world: The ports.
        finish: Called with the path of an image that the prefix owns, before it gets its name.

    Raises:
        VMError: It cannot be made.
    """
    with _blaming(vm, disk):
        if disk.owned:
            _create_owned(vm, disk, layout=layout, world=world, finish=finish)
        else:
            _prepare_own(vm, disk, layout=layout, world=world)


def disk_error(vm: str, disk: str, error: LagoError) -> VMError:
    """Return *error* with the name of the disk that it is about."""
    return VMError(vm, f"disk {disk!r} of {vm!r}: {error.message}", hint=error.hint)


def create_together(
    works: Sequence[tuple[VMPlan, DiskPlan]],
    finish: Callable[[Mapping[str, Path]], None],
    *,
    layout: PrefixLayout,
    world: World,
) -> None:
    """Make images that the prefix owns as `create_disk` does, and finish all of them at once.

    Args:
        works: VMs and their disks; those that are there are left out.
        finish: Called with the paths of the images by their VMs, before they get their names.
        layout: Where the prefix lies.
        world: The ports.

    Raises:
        VMError: One of them cannot be made.
    """
    with contextlib.ExitStack() as stack:
        made: dict[str, Path] = {}
        for vm, disk in works:
            target = layout.path / disk.path
            if target.exists():
                continue
            with _blaming(vm, disk):
                made[vm.name] = path = stack.enter_context(_unfinished(target))
                _create_image(path, vm, disk, world=world)
                _build(path, vm, disk, layout=layout, world=world)
        if made:
            finish(made)


@contextlib.contextmanager
def _blaming(vm: VMPlan, disk: DiskPlan) -> Iterator[None]:
    """Have an error of the block name the disk."""
    try:
        yield
    except VMError:
        raise
    except LagoError as error:
        raise disk_error(vm.name, disk.name, error) from error


def _create_owned(
    vm: VMPlan,
    disk: DiskPlan,
    *,
    layout: PrefixLayout,
    world: World,
    finish: Callable[[Path], None] | None,
) -> None:
    target = layout.path / disk.path
    if target.exists():
        return
    with _unfinished(target) as path:
        _create_image(path, vm, disk, world=world)
        _build(path, vm, disk, layout=layout, world=world)
        if finish is not None:
            finish(path)


@contextlib.contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """Have a path for the block to make an image at; it becomes *target* at the block's end."""
    path = target.with_name(f".{target.name}.part")
    path.unlink(missing_ok=True)
    try:
        yield path
        os.replace(path, target)  # noqa: PTH105 - one system call, made plain
    finally:
        path.unlink(missing_ok=True)


def _prepare_own(vm: VMPlan, disk: DiskPlan, *, layout: PrefixLayout, world: World) -> None:
    path = Path(disk.path)
    asked = disk.spec
    if isinstance(asked, FileDisk) and asked.url is not None and not path.exists():
        _download(asked.url, path, vm, world)
    if disk.format is DiskFormat.QCOW2:
        check_plain(path, world)
    image = _check_file(path, disk.format, world)
    if (
        image is not None
        and resolve_chain(image, images=world.images, templates=world.templates).template
    ):
        raise ImageError(
            f"the backing file of {path} is a template, which only copies can be put on",
            hint="add 'make_a_copy: true', or use 'type: template' with 'template_type: qcow2'",
        )
    _build(path, vm, disk, layout=layout, world=world)


def _create_image(path: Path, vm: VMPlan, disk: DiskPlan, *, world: World) -> None:
    asked = disk.spec
    if isinstance(asked, TemplateDisk):
        if disk.backing is None:
            raise ImageError("it has no template to be made on")
        _create_overlay(path, disk.backing, asked.size, world)
    elif isinstance(asked, EmptyDisk):
        world.images.create_empty(path, size=asked.size, image_format=disk.format)
    elif isinstance(asked, FileDisk):
        _create_copy(path, vm, disk, asked, world)


def _create_overlay(path: Path, backing: Image, size: int | None, world: World) -> None:
    """Make an overlay on *backing*, or a copy of it where its chain has to be completed."""
    if _names_layer(backing):
        chain = resolve_chain(backing, images=world.images, templates=world.templates)
        if chain.template is not None:
            _copy_layers(path, chain.layers, chain.template, world)
            if size is not None:
                world.images.resize(path, size)
            return
    world.images.create_overlay(path, backing, size=size)


def _names_layer(image: Image) -> bool:
    return image.format is DiskFormat.QCOW2 and image.backing is not None


def _copy_layers(path: Path, layers: tuple[Image, ...], below: Image, world: World) -> None:
    """Copy *layers* (the first to *path*, the others beside it), the last one onto *below*."""
    stem = path.name.removeprefix(".").removesuffix(".part")
    for index, layer in reversed(tuple(enumerate(layers))):
        target = path.with_name(f"{stem}.layer{index}") if index else path
        world.images.copy(Path(layer.path), target)
        world.images.rebase(target, below)
        below = world.images.inspect(target)


def _create_copy(path: Path, vm: VMPlan, disk: DiskPlan, asked: FileDisk, world: World) -> None:
    """Copy or download the user's image; a copy finds what is below it from where it is."""
    if asked.url is not None and asked.path is None:
        _download(asked.url, path, vm, world)
        image = _check_file(path, disk.format, world)
        if image is not None and image.backing is not None:
            raise ImageError(f"the image {asked.url} has a backing file: {image.backing}")
        return
    source = Path(asked.path or "")
    if asked.url is not None and not source.exists():
        _download(asked.url, source, vm, world)
    if world.packer.is_packed(source):
        _create_unpacked(path, vm, disk, source, world)
        return
    image = _check_file(source, disk.format, world)
    if image is None or image.backing is None:
        world.images.copy(source, path)
        return
    chain = _resolve(image, asked, world)
    if chain.template is not None:
        _copy_layers(path, chain.layers, chain.template, world)
    else:
        world.images.copy(source, path)
        if len(chain.layers) > 1:
            world.images.rebase(path, chain.layers[1])


def _create_unpacked(path: Path, vm: VMPlan, disk: DiskPlan, source: Path, world: World) -> None:
    """Decompress the user's image; of layers it can only be one that lies on a template."""
    unpack(source, path, subject=vm.name, world=world)
    image = _check_file(path, disk.format, world)
    if image is None or image.backing is None:
        return
    chain = _resolve(image, disk.spec, world)
    if chain.template is None or len(chain.layers) > 1:
        raise ImageError(
            f"the image {source} is compressed and has a backing file: {image.backing}",
            hint="decompress it beside that one",
        )
    world.images.rebase(path, chain.template)


def _resolve(image: Image, asked: DiskSpec, world: World) -> Chain:
    return resolve_chain(
        image,
        images=world.images,
        templates=world.templates,
        base_digest=asked.metadata.get(BASE_DIGEST),
    )


def _download(url: str, path: Path, vm: VMPlan, world: World) -> None:
    if is_url(url):
        fetch_url(url, path, subject=vm.name, world=world)
    else:
        world.images.copy(Path(url), path)
    unpack_in_place(path, subject=vm.name, world=world)


def _check_file(path: Path, asked: DiskFormat, world: World) -> Image | None:
    """Return the image of a qcow2 disk; ``None`` for others, whose content is all theirs.

    Raises:
        ImageError: It is no qcow2 image, and should be one.
    """
    if asked is not DiskFormat.QCOW2:
        return None
    image = world.images.inspect(path)
    if image.format is not asked:
        raise ImageError(
            f"{path} is a {image.format.value} image, and the disk's format is {asked.value}",
            hint="write 'format: raw', or 'format: iso' for a CD-ROM",
        )
    return image


def _build(path: Path, vm: VMPlan, disk: DiskPlan, *, layout: PrefixLayout, world: World) -> None:
    """Run the disk's builders over *path*, in order; relative paths start at the init file."""
    for step in disk.spec.build:
        arguments = render_options(step.options, public_key=str(layout.public_key))
        with stage(world.observe, "build disk", f"{vm.name}/{disk.name}") as running:
            running.tell(step.builder)
            builder = world.builders[step.builder]
            builder.build(path, disk.format, arguments, directory=layout.path)
