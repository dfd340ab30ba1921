"""The top of the init file: ``domains``, ``nets`` and ``prototypes``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.codec.language import DEPLOY_SCRIPTS, DOMAIN_TYPE, FROM_ARCHIVE
from lago_sdk.codec.prototypes import Prototypes
from lago_sdk.codec.scalars import describe, did_you_mean, to_text
from lago_sdk.codec.structure import model_rule, structure_fields
from lago_sdk.codec.values import BadValue
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.spec.vm import VMSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.codec.document import Origins
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

SECTIONS = ("domains", "nets", "prototypes")


@attrs.frozen(kw_only=True)
class PartialSpec:
    """A spec that may lack what could not be read."""

    spec: PrefixSpec
    is_checkable: bool
    """Whether checks over the whole of it make sense: both sections were read."""


def structure_prefix(value: object, sink: Sink, origins: Origins) -> PartialSpec:
    """Make a spec of a whole document; what is wrong goes into *sink*.

    Args:
        value: The document as plain values.
        sink: Takes the problems.
        origins: Filled with where inherited keys stand.
    """
    if not isinstance(value, Mapping):
        sink.error(
            (),
            f"expected a map with 'nets' and 'domains', not {describe(value)}",
            code="not-a-map",
        )
        return PartialSpec(spec=PrefixSpec(), is_checkable=False)
    prototypes = Prototypes(value.get("prototypes"), sink, origins)
    found = [_has_section(value, name, sink) for name in ("nets", "domains")]
    nets = tuple(_structure_net(*entry, sink) for entry in _entries(value, "nets", sink))
    vms = tuple(
        _structure_vm(name, item, sink, prototypes)
        for name, item in _entries(value, "domains", sink)
    )
    return PartialSpec(spec=PrefixSpec(vms=vms, nets=nets), is_checkable=all(found))


def _has_section(value: Mapping[Any, Any], name: str, sink: Sink) -> bool:
    """Whether the section is there and is a map; a missing one is told."""
    if name in value:
        return value[name] is None or isinstance(value[name], Mapping)
    similar = [str(key) for key in value if key not in SECTIONS]
    close = did_you_mean(name, similar)
    hint = (
        f"is {close[13:-1]} meant to be {name!r}?" if close else f"add '{name}:' at the top level"
    )
    sink.error((), f"the section {name!r} is missing", hint=hint, code="missing-section")
    return False


def _entries(
    value: Mapping[Any, Any], section: str, sink: Sink
) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield name and map of each entry of a section; a bad entry is told and comes empty."""
    found = value.get(section)
    if found is None:
        return
    if not isinstance(found, Mapping):
        sink.error(
            (section,),
            f"expected a map of names, not {describe(found)}",
            hint=f"write '{section}:' and below it 'NAME:', indented",
            code="wrong-type",
        )
        return
    for key, item in found.items():
        name = str(key)
        if item is None:
            item = {}  # noqa: PLW2901
        if not isinstance(item, Mapping):
            message = f"expected a map, not {describe(item)}"
            sink.error((section, name), message, code="wrong-type")
            item = {}  # noqa: PLW2901
        yield name, item


def _structure_net(name: str, value: Mapping[Any, Any], sink: Sink) -> NetSpec:
    arguments = structure_fields(value, ("nets", name), sink, model_rule(NetSpec))
    return NetSpec(name=name, **arguments)


def _structure_vm(
    name: str, value: Mapping[Any, Any], sink: Sink, prototypes: Prototypes
) -> VMSpec:
    path: Path = ("domains", name)
    keys = prototypes.apply(value, path)
    if DOMAIN_TYPE.name in keys:
        keys = _take_type(keys, path, sink)
    elif keys.get("url") is not None:
        sink.warn(
            (*path, "url"),
            "'url' does nothing without 'type: ova'",
            hint="a disk's 'url' belongs into its entry of 'disks'",
            code="useless-key",
        )
        keys = {key: item for key, item in keys.items() if key != "url"}
    arguments = structure_fields(keys, path, sink, model_rule(VMSpec))
    if "ova" in arguments:
        arguments = {**dict.fromkeys(FROM_ARCHIVE, 0), **arguments}
    metadata = arguments.get("metadata")
    if metadata:
        raw = keys["metadata"]
        arguments.update(_take_scripts(raw, metadata, (*path, "metadata"), sink))
    return VMSpec(name=name, **arguments)


def _take_type(keys: Mapping[Any, Any], path: Path, sink: Sink) -> Mapping[Any, Any]:
    """Read the domain's ``type`` and return the other keys."""
    word = keys[DOMAIN_TYPE.name]
    left_out = {DOMAIN_TYPE.name}
    if word == "ova":
        if keys.get("url") is None:
            sink.error(
                path,
                "the key 'url' is missing: 'type: ova' imports the archive it names",
                hint="for example 'url: appliance.ova'",
                code="missing-key",
            )
    elif word in {None, "template"}:
        left_out.add("url")  # Lago wrote `template` once it had imported the archive
    else:
        sink.error(
            (*path, DOMAIN_TYPE.name),
            f"{describe(word)} is not a type of domains",
            hint="the only one is 'ova'; leave it out otherwise",
            code="unknown-word",
        )
    return {key: item for key, item in keys.items() if key not in left_out}


def _take_scripts(
    raw: Mapping[Any, Any], metadata: dict[str, Any], path: Path, sink: Sink
) -> dict[str, Any]:
    """Move the deploy scripts from ``metadata`` to their field."""
    scripts: list[str] = []
    found = False
    for name in (DEPLOY_SCRIPTS.name, *DEPLOY_SCRIPTS.aliases):
        if name not in raw:
            continue
        if name != DEPLOY_SCRIPTS.name:
            sink.warn(
                (*path, name),
                f"{name!r} is an old spelling",
                hint=f"write {DEPLOY_SCRIPTS.name!r}",
                code="deprecated-key",
            )
        if not found:
            scripts = _to_scripts(raw[name], (*path, name), sink)
        found = True
        metadata.pop(name, None)
    return {"metadata": metadata, "deploy_scripts": tuple(scripts)} if found else {}


def _to_scripts(value: object, path: Path, sink: Sink) -> list[str]:
    if value is None:
        return []
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    scripts: list[str] = []
    for index, item in enumerate(items):
        try:
            scripts.append(to_text(item))
        except BadValue as bad:
            place = (*path, index) if isinstance(value, (list, tuple)) else path
            sink.error(place, bad.message, hint=bad.hint, code=bad.code)
    return scripts
