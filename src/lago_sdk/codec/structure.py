"""Plain values to models, driven by the fields of the models.

The structurer is our own: it visits the keys that are there (not the fields there could be),
collects every problem with its path, and says what to do about each. cattrs gives neither paths
as the user wrote them nor hints, and costs more time at a thousand VMs.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from lago_sdk.codec import scalars
from lago_sdk.codec.language import (
    DISK_TYPES,
    EXTENSION_PREFIX,
    SERVICE_CLASSES,
    SILENT_KEYS,
)
from lago_sdk.codec.scalars import did_you_mean, wrong_type
from lago_sdk.codec.values import BadValue, to_free_form
from lago_sdk.spec.disk import BuildStep, DiskSpec, EmptyDisk, FileDisk, TemplateDisk
from lago_sdk.spec.keys import Key, find_key
from lago_sdk.spec.net import DhcpRange
from lago_sdk.spec.vm import Bootstrap

if TYPE_CHECKING:
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

T = TypeVar("T")

Converter: TypeAlias = Callable[[Any, "Path", "Sink"], Any]
"""Takes a value, its path and where to put problems. Raises ``BadValue`` for the value itself."""


@attrs.frozen(kw_only=True)
class FieldRule:
    """How one key sets one field."""

    field: str
    key: Key
    convert: Converter
    required: bool
    is_alias: bool = False


@attrs.frozen(kw_only=True)
class ModelRule:
    """How a map becomes a model."""

    cls: type
    fields: Mapping[str, FieldRule]
    """By key, old spellings included."""
    required: tuple[FieldRule, ...]
    silent: frozenset[str]


def model_rule(cls: type) -> ModelRule:
    """Return how a map becomes a *cls*."""
    rule = _RULES.get(cls)
    if rule is None:
        rule = _RULES[cls] = _make_rule(cls)
    return rule


_RULES: dict[type, ModelRule] = {}


def _make_rule(cls: type) -> ModelRule:
    hints = typing.get_type_hints(cls)
    rules: dict[str, FieldRule] = {}
    for field in attrs.fields(cls):
        found = find_key(field)
        if found is None:
            continue
        special = _SPECIAL.get(field.name)
        rule = FieldRule(
            field=field.name,
            key=found,
            convert=special or _converter(hints[field.name]),
            required=field.default is attrs.NOTHING,
        )
        rules[found.name] = rule
        for alias in found.aliases:
            rules[alias] = attrs.evolve(rule, is_alias=True, required=False)
    required = tuple(rule for rule in rules.values() if rule.required)
    silent = SILENT_KEYS.get(cls, frozenset())
    return ModelRule(cls=cls, fields=rules, required=required, silent=silent)


def structure_fields(
    value: Mapping[str, Any], path: Path, sink: Sink, rule: ModelRule
) -> dict[str, Any]:
    """Convert the keys of a map to keyword arguments of *rule*'s model.

    A key with a problem is left out; what is missing is told by :func:`tell_missing`.
    """
    arguments: dict[str, Any] = {}
    fields = rule.fields
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            _tell_unknown(name, path, sink, rule)
            continue
        if item is None:
            continue
        if field.is_alias:
            _tell_old(name, field, path, sink)
        try:
            arguments[field.field] = field.convert(item, (*path, name), sink)
        except BadValue as bad:
            sink.error((*path, name), bad.message, hint=bad.hint, code=bad.code)
    return arguments


def tell_missing(value: Mapping[str, Any], path: Path, sink: Sink, rule: ModelRule) -> bool:
    """Report required keys that are not there; returns whether any is missing."""
    missing = [field for field in rule.required if value.get(field.key.name) is None]
    for field in missing:
        example = f"for example '{field.key.name}: {field.key.example}'"
        sink.error(path, f"the key {field.key.name!r} is missing", hint=example, code="missing-key")
    return bool(missing)


def _tell_unknown(name: object, path: Path, sink: Sink, rule: ModelRule) -> None:
    text = str(name)
    if text in rule.silent or text.startswith(EXTENSION_PREFIX):
        return
    hint = did_you_mean(text, rule.fields)
    if hint is None and issubclass(rule.cls, DiskSpec):
        hint = _other_disk(text)
    sink.warn((*path, text), f"unknown key {text!r}", hint=hint, code="unknown-key")


def _other_disk(name: str) -> str | None:
    for word, cls in DISK_TYPES.items():
        if name in model_rule(cls).fields:
            return f"it belongs to disks of 'type: {word}'"
    return None


def _tell_old(name: str, field: FieldRule, path: Path, sink: Sink) -> None:
    sink.warn(
        (*path, name),
        f"{name!r} is an old spelling",
        hint=f"write {field.key.name!r}",
        code="deprecated-key",
    )


def structure_model(value: Any, path: Path, sink: Sink, cls: type[T]) -> T | None:
    """Convert a map to a *cls*; ``None`` when it is no map or lacks a required key."""
    if not isinstance(value, Mapping):
        raise wrong_type("a map", value)
    rule = model_rule(cls)
    arguments = structure_fields(value, path, sink, rule)
    tell_missing(value, path, sink, rule)
    if all(field.field in arguments for field in rule.required):
        return cls(**arguments)
    return None


def _converter(kind: Any) -> Converter:
    """Return the converter for a field's type."""
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        return _lift(scalar)
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin is types.UnionType or origin is typing.Union:
        return _union(arguments)
    if origin is tuple:
        return _list_of(arguments[0])
    if origin is Mapping:
        return _free_map if arguments[1] is Any else _text_map
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _lift(scalars.enum_converter(kind))
    if isinstance(kind, type) and attrs.has(kind):
        return functools.partial(structure_model, cls=kind)
    message = f"no converter for {kind}"
    raise TypeError(message)


def _lift(scalar: Callable[[object], object]) -> Converter:
    def convert(value: Any, path: Path, sink: Sink) -> object:
        del path, sink
        return scalar(value)

    return convert


def _union(kinds: tuple[Any, ...]) -> Converter:
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) == 1:
        return _converter(kinds[0])
    if IPv4Network in kinds:
        return _lift(scalars.to_subnet4)
    if IPv6Network in kinds:
        return _lift(scalars.to_subnet6)
    return _text_or_map


def _text_or_map(value: Any, path: Path, sink: Sink) -> object:
    if isinstance(value, Mapping):
        return _free_map(value, path, sink)
    return scalars.to_text(value)


def _list_of(kind: Any) -> Converter:
    """A list; where its items are scalars, a single one is a list of one."""
    convert = structure_disk if kind is DiskSpec else _converter(kind)
    takes_one = not (isinstance(kind, type) and attrs.has(kind))

    def convert_list(value: Any, path: Path, sink: Sink) -> tuple[object, ...]:
        if not isinstance(value, (list, tuple)):
            if not takes_one or isinstance(value, Mapping):
                raise wrong_type("a list", value, hint="start each item with '- '")
            value = [value]
        found: list[object] = []
        for index, item in enumerate(value):
            place = (*path, index)
            try:
                made = convert(item, place, sink)
            except BadValue as bad:
                sink.error(place, bad.message, hint=bad.hint, code=bad.code)
                made = None
            found.append(made)
        # A bad item keeps its place, so that the paths of the checks stay right.
        return tuple(item if item is not None else _blank(kind) for item in found)

    return convert_list


def _blank(kind: Any) -> object:
    """A stand-in for a list item that could not be read; an error is noted for it already."""
    if kind is DiskSpec:
        return DiskSpec()
    if isinstance(kind, type) and attrs.has(kind):
        return kind(**{field.field: "" for field in model_rule(kind).required})
    return ""


def _free_map(value: Any, path: Path, sink: Sink) -> dict[str, Any]:
    del path, sink
    if not isinstance(value, Mapping):
        raise wrong_type("a map", value)
    found: dict[str, Any] = to_free_form(value)
    return found


def _text_map(value: Any, path: Path, sink: Sink) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise wrong_type("a map", value)
    found: dict[str, str] = {}
    for name, item in value.items():
        try:
            found[str(name)] = scalars.to_text(item)
        except BadValue as bad:
            sink.error((*path, str(name)), bad.message, hint=bad.hint, code=bad.code)
    return found


def structure_disk(value: Any, path: Path, sink: Sink) -> DiskSpec | None:
    """Convert a map to the kind of disk that its ``type`` (or its keys) tells."""
    if not isinstance(value, Mapping):
        raise wrong_type("a map", value, hint="for example '- {type: empty, size: 10G}'")
    word = value.get("type")
    if word is None:
        cls = _guess_disk(value)
        if cls is None:
            sink.error(
                path,
                "the key 'type' is missing",
                hint="'type: template', 'type: empty' or 'type: file'",
                code="missing-key",
            )
            return None
    else:
        found = DISK_TYPES.get(word) if isinstance(word, str) else None
        if found is None:
            sink.error(
                (*path, "type"),
                f"{scalars.describe(word)} is not a type of disks",
                hint=did_you_mean(str(word), DISK_TYPES) or f"one of {', '.join(DISK_TYPES)}",
                code="unknown-word",
            )
            return None
        cls = found
    return structure_model(value, path, sink, cls)


def _guess_disk(value: Mapping[str, Any]) -> type[DiskSpec] | None:
    if "template_name" in value or "template_type" in value:
        return TemplateDisk
    if "path" in value or "url" in value:
        return FileDisk
    return EmptyDisk if "size" in value else None


def _bootstrap(value: Any, path: Path, sink: Sink) -> Bootstrap:
    del path, sink
    if isinstance(value, (bool, str)):
        try:
            return Bootstrap.AUTO if scalars.to_bool(value) else Bootstrap.NONE
        except BadValue:
            pass
    return scalars.enum_converter(Bootstrap)(value)


def _dhcp(value: Any, path: Path, sink: Sink) -> DhcpRange | None:
    if isinstance(value, DhcpRange):
        return value
    if isinstance(value, Mapping):
        return structure_model({**_WHOLE_RANGE, **value}, path, sink, DhcpRange)
    if scalars.to_bool(value):
        return DhcpRange(**_WHOLE_RANGE)
    return None


_WHOLE_RANGE = {"start": 2, "end": 254}
"""What ``dhcp: true`` means: all host numbers of a /24 behind the gateway."""


def _service_provider(value: Any, path: Path, sink: Sink) -> str:
    del path, sink
    text = scalars.to_text(value)
    return SERVICE_CLASSES.get(text, text)


def _build(value: Any, path: Path, sink: Sink) -> tuple[BuildStep, ...]:
    """A list of maps with one key each: the builder, and its options."""
    if isinstance(value, Mapping):
        value = [{name: options} for name, options in value.items()]
    if not isinstance(value, (list, tuple)):
        raise wrong_type("a list", value, hint="for example '- virt-customize: {update: \"\"}'")
    steps: list[BuildStep] = []
    for index, item in enumerate(value):
        place = (*path, index)
        if isinstance(item, BuildStep):
            steps.append(item)
            continue
        if not isinstance(item, Mapping) or len(item) != 1:
            sink.error(
                place,
                "expected a map with one key, the builder's name",
                hint="for example 'virt-customize: {update: \"\"}'",
                code="wrong-type",
            )
            continue
        ((name, options),) = item.items()
        if options is not None and not isinstance(options, Mapping):
            sink.error((*place, str(name)), "expected a map of options", code="wrong-type")
            continue
        try:
            steps.append(BuildStep(builder=str(name), options=to_free_form(options or {})))
        except BadValue as bad:
            sink.error((*place, str(name)), bad.message, hint=bad.hint, code=bad.code)
    return tuple(steps)


_SCALARS: dict[Any, Callable[[object], object]] = {
    str: scalars.to_text,
    int: scalars.to_int,
    bool: scalars.to_bool,
}
_SPECIAL: dict[str, Converter] = {
    "memory": _lift(scalars.to_memory),
    "max_memory": _lift(scalars.to_memory),
    "size": _lift(scalars.to_size),
    "bootstrap": _bootstrap,
    "dhcp": _dhcp,
    "service_provider": _service_provider,
    "build": _build,
}
"""Fields whose values have a form of their own."""
