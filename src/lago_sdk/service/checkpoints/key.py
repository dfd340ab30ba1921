"""The key of a checkpoint: all that makes a lab what it is when it has come up.

The key is a document, and a checkpoint fits where the whole document is equal. It is made from
what the makers are given, and not from a list of what seems to matter:

- the plan, by the same function that writes ``plan.json``: every field of every model;
- what is rendered from the plan: domains, networks, and seeds without their generated keys;
- the library itself, by its sources: what they write into disks is seen nowhere else;
- the content of every file that a string of the plan names, and of the images below disks;
- the deploy scripts, by the content of the prefix's own copies;
- the facts of the host that domains are rendered by, and what QEMU says of itself.

A file that may change is told by its content, a template by the digest in its record. What
nobody can know (see `obstacles`) keeps a lab out of the cache.
"""

from __future__ import annotations

import enum
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.codec.state import dumps_plan
from lago_sdk.plan.models import Image
from lago_sdk.render.cloud_init import render_seed
from lago_sdk.render.domain import render_domain
from lago_sdk.render.network import render_network
from lago_sdk.service.checkpoints.builds import list_build_files
from lago_sdk.service.making.chains import resolve_chain
from lago_sdk.service.making.deploy_scripts import list_copies
from lago_sdk.spec.disk import DiskFormat, FileDisk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World

FORMAT = 1
"""Version of checkpoints; raised when those of before must not be used any more."""
NAMES_UUID = "cac4e" + 27 * "0"
"""What libvirt's names, UUIDs and MACs of a cached lab are made from, in place of its own uuid:
equal specs have equal plans. On a private host nobody else sees them."""
_NOBODY = 32 * "0"
_PREFIX = "\0prefix"
"""Stands for the directory of the prefix, which differs from lab to lab; no path has a NUL."""
_IN_GUEST = frozenset({"artifacts", "metadata", "user_data", "cmdline", "comment", "console_log"})
"""Fields whose strings are paths in guests, or none: files of that name here do not matter."""


@attrs.frozen
class Key:
    """The key of a lab."""

    document: str
    """All of it, as canonical JSON."""

    @property
    def digest(self) -> str:
        """64 hex digits that stand for it."""
        return hashlib.sha256(self.document.encode()).hexdigest()


def make_key(plan: Plan, *, layout: PrefixLayout, world: World) -> Key:
    """Return the key of a lab, whose deploy scripts are in its directory already.

    Raises:
        LagoError: A file cannot be read, or the host does not tell what it is.
    """
    facts = world.host.facts()
    planned = dump_plan(plan, layout=layout, world=world)
    document = {
        "format": FORMAT,
        "plan": planned,
        "files": _digest_files(plan, planned, layout=layout, world=world),
        "host": {"facts": dump_facts(facts), **world.fingerprints.describe_host(facts)},
        **_render(plan, facts),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return Key(text.replace(json.dumps(str(layout.path))[1:-1], json.dumps(_PREFIX)[1:-1]))


def dump_plan(plan: Plan, *, layout: PrefixLayout, world: World) -> Any:
    """Return the plan as JSON has it: without the lab's uuid, scripts by their content."""
    known = {
        vm.name: tuple(
            world.fingerprints.digest_file(copy)
            for copy in list_copies(vm, plan=plan, layout=layout)
        )
        for vm in plan.vms
    }
    vms = tuple(
        attrs.evolve(vm, spec=attrs.evolve(vm.spec, deploy_scripts=known[vm.name]))
        for vm in plan.vms
    )
    return json.loads(dumps_plan(attrs.evolve(plan, uuid=_NOBODY, vms=vms)))


def dump_facts(facts: HostFacts) -> Any:
    """Return the facts of a host as JSON has them, every field."""

    def dump(_: object, __: object, value: Any) -> Any:
        if isinstance(value, frozenset):
            return sorted(value)
        return value.value if isinstance(value, enum.Enum) else value

    return json.loads(json.dumps(attrs.asdict(facts, value_serializer=dump)))


def find_differences(one: str, other: str) -> tuple[str, ...]:
    """Return where two documents differ, as paths such as ``plan/plan/vms/0/spec/memory``."""
    return tuple(_compare(json.loads(one), json.loads(other), ()))


def _compare(one: Any, other: Any, place: tuple[str, ...]) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _compare(one.get(name), other.get(name), (*place, name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _compare(left, right, (*place, str(index)))
    elif one != other:
        yield "/".join(place)


def _render(plan: Plan, facts: HostFacts) -> dict[str, object]:
    """Render what the makers render, with what is generated left out."""
    nets = {net.name: net for net in plan.nets}
    domain = partial(render_domain, nets=nets, facts=facts, root=_PREFIX[1:], prefix_uuid=_NOBODY)
    return {
        "domains": {
            vm.name: domain(vm, display_password="", public_keys=["login"]) for vm in plan.vms
        },
        "networks": {net.name: render_network(net, prefix_uuid=_NOBODY) for net in plan.nets},
        "seeds": {vm.name: _render_seed(vm, plan) for vm in plan.vms if vm.seed is not None},
    }


def _render_seed(vm: VMPlan, plan: Plan) -> dict[str, str]:
    files = render_seed(
        vm,
        nets={net.name: net for net in plan.nets},
        public_keys=["login"],
        host_key_private="private",
        host_key_public="public",
    )
    return {name: data.decode() for name, data in files.items()}


def _digest_files(
    plan: Plan, planned: object, *, layout: PrefixLayout, world: World
) -> Mapping[str, str]:
    """Return the digests of all files of this machine that a plan names, by their paths."""
    found: dict[str, str] = {}
    for source in {source.path: source for source in _list_images(plan)}.values():
        image = world.images.inspect(Path(source.path))
        chain = resolve_chain(image, images=world.images, templates=world.templates)
        below = (*chain.layers[1:], *((chain.template,) if chain.template is not None else ()))
        for layer in (source, *below):
            found[layer.path] = layer.digest or world.fingerprints.digest_file(Path(layer.path))
    named = [Path(text) for text in _list_strings(planned) if text.startswith("/")]
    steps = (step for vm in plan.vms for disk in vm.disks for step in disk.spec.build)
    named += [path for step in steps for path in list_build_files(step, layout.path)]
    for path in named:
        if str(path) not in found and path.is_file():
            found[str(path)] = world.fingerprints.digest_file(path)
    return found


def _list_images(plan: Plan) -> Iterator[Image]:
    """Return the images that disks are made of, which may have others below them."""
    for vm in plan.vms:
        for disk in vm.disks:
            if disk.backing is not None:
                yield disk.backing
            asked = disk.spec
            if isinstance(asked, FileDisk) and disk.format is DiskFormat.QCOW2 and asked.path:
                yield Image(path=asked.path, size=0)


def _list_strings(value: object) -> Iterator[str]:
    """Return all strings that may name a file of this machine."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _IN_GUEST:
                yield from _list_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_strings(item)
    elif isinstance(value, str) and "\0" not in value:
        yield value
