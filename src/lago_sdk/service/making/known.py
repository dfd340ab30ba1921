"""What is known of the images that VMs boot: metadata, and where it is silent a look into them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError
from lago_sdk.plan.bootstrap import (
    FACT_BOOTSTRAP,
    FACT_CLOUD_INIT,
    FACT_LOOK,
    FACT_NOCLOUD,
    FACT_ROOT,
    FACT_SYSTEMD,
)
from lago_sdk.plan.models import Image, is_remote
from lago_sdk.spec.disk import DiskFormat, FileDisk, TemplateDisk
from lago_sdk.spec.vm import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lago_sdk.ports import ImageTool, OfflineDisks, OfflineFS, RootLook
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_DECIDED = frozenset({Bootstrap.AUTO, Bootstrap.INJECT, Bootstrap.CREDENTIALS})
"""What depends on the image, as far as can be seen without an appliance."""
_CLOUD_INIT = "/usr/bin/cloud-init"
_CLOUD_INIT_OFF = "/etc/cloud/cloud-init.disabled"
_SEED_READER = "/etc/lago/read-seed"
"""What the template ``tiny`` has in place of cloud-init."""
_OS_RELEASE = "/etc/os-release"
_SYSTEMD_LIBRARIES = ("/usr/lib/systemd", "/usr/lib64/systemd", "/usr/lib/x86_64-linux-gnu/systemd")
_SYSTEMD_LIBRARY = re.compile(r"libsystemd-(?:shared|core)-(\d+)\b.*\.so")


def learn_facts(
    spec: PrefixSpec,
    found: Mapping[str, Image],
    *,
    images: ImageTool,
    disks: OfflineDisks,
    resolve: Callable[[str], Path] = Path,
) -> dict[str, Image]:
    """Return the images *found*, and those that are copied, with what a look into them shows.

    Only images that VMs boot are looked into, each once, and only where their metadata does not
    say what decides. An image that cannot be looked into says why.

    Args:
        spec: What was asked.
        found: Images of templates, as `lago_sdk.plan.planner.plan_prefix` takes them.
        images: Tells what a file is.
        disks: Opens them.
        resolve: Returns what a path of the spec means; absolute ones mean themselves.
    """
    known = dict(found)
    seen: dict[tuple[str, str | None], Mapping[str, object]] = {}
    for vm, key in _list_booted(spec):
        image = known.get(key) or _find_file(vm, images, resolve)
        if image is None:
            continue
        said = {**image.metadata, **vm.disks[0].metadata}
        if _is_enough(vm.bootstrap, said):
            continue
        part = said.get("root-partition")
        place = (image.path, part if isinstance(part, str) else None)
        if place not in seen:
            seen[place] = look_into(image, place[1], disks)
        known[key] = attrs.evolve(image, metadata={**seen[place], **image.metadata})
    return known


def _list_booted(spec: PrefixSpec) -> Iterator[tuple[VMSpec, str]]:
    """Yield VMs whose images decide something, and what their images are called."""
    for vm in spec.vms:
        if vm.bootstrap not in _DECIDED or is_remote(vm) or not vm.disks:
            continue
        first = vm.disks[0]
        if isinstance(first, TemplateDisk):
            version = f":{first.template_version}" if first.template_version else ""
            yield vm, first.path or f"{first.template_name}{version}"
        elif isinstance(first, FileDisk) and first.path is not None:
            is_asked = vm.bootstrap is not Bootstrap.AUTO or first.make_a_copy
            if is_asked and first.format is not DiskFormat.ISO:
                yield vm, first.path


def _is_enough(road: Bootstrap, facts: Mapping[str, object]) -> bool:
    """Whether *facts* say what decides about an image."""
    if road is Bootstrap.CREDENTIALS:
        return FACT_SYSTEMD in facts
    if road is Bootstrap.INJECT:
        return FACT_ROOT in facts
    readers = (facts.get(FACT_CLOUD_INIT), facts.get(FACT_NOCLOUD))
    is_silent = readers == (None, None)
    return FACT_BOOTSTRAP in facts or True in readers or (not is_silent and FACT_ROOT in facts)


def _find_file(vm: VMSpec, images: ImageTool, resolve: Callable[[str], Path]) -> Image | None:
    """Return the user's own image that the first disk of *vm* is made of, where it is there."""
    first = vm.disks[0]
    if not isinstance(first, FileDisk | TemplateDisk) or first.path is None:
        return None
    path = resolve(first.path)
    if not path.is_file():
        return None
    if first.format is DiskFormat.RAW:
        return Image(path=str(path), format=DiskFormat.RAW, size=path.stat().st_size)
    try:
        return images.inspect(path)
    except LagoError:
        return None  # what is wrong with it is told when it is used


def look_into(
    image: Image, root_partition: str | None, disks: OfflineDisks
) -> Mapping[str, object]:
    """Return the facts that a look into *image* shows; takes some 50 milliseconds."""
    try:
        with disks.look(Path(image.path), image.format, root_partition=root_partition) as look:
            return dict(_list_facts(look))
    except LagoError as error:
        return {FACT_LOOK: f"its image cannot be looked into: {error.message}"}


def _list_facts(look: RootLook) -> Iterator[tuple[str, object]]:
    if look.kind is None:
        yield FACT_LOOK, "no root file system is seen in its image"
        return
    yield FACT_ROOT, look.kind
    fs = look.fs
    if fs is None:
        return
    is_off = fs.find(_CLOUD_INIT_OFF) is not None
    yield FACT_CLOUD_INIT, fs.find(_CLOUD_INIT) is not None and not is_off
    yield FACT_NOCLOUD, fs.find(_SEED_READER) is not None
    yield FACT_SYSTEMD, _find_systemd(fs) or False
    distro = _find_distro(fs)
    if distro is not None:
        yield "distro", distro


def _find_systemd(fs: OfflineFS) -> int | None:
    for directory in _SYSTEMD_LIBRARIES:
        if fs.find(directory) is None:
            continue
        names = (entry.name for entry in fs.list_directory(directory))
        for match in filter(None, map(_SYSTEMD_LIBRARY.fullmatch, names)):
            return int(match[1])
    return None


def _find_distro(fs: OfflineFS) -> str | None:
    """Return what os-release(5) calls the distribution."""
    if fs.find(_OS_RELEASE) is None:
        return None
    text = fs.read_file(_OS_RELEASE).decode(errors="replace")
    match = re.search(r"^ID=[\"']?([\w.-]+)", text, re.MULTILINE)
    return match[1] if match else None
