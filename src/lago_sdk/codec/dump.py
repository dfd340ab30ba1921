"""Models to the text of an init file. ``loads_spec(dumps_spec(spec)) == spec``."""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.codec.emit import emit_yaml
from lago_sdk.codec.language import DEPLOY_SCRIPTS, DISK_TYPES, DOMAIN_TYPE, FROM_ARCHIVE
from lago_sdk.spec.disk import BuildStep, DiskSpec
from lago_sdk.spec.keys import find_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_KINDS = {cls: word for word, cls in DISK_TYPES.items()}
_LETTERS = "TGMK"
_GIBIBYTE = 1024
"""In MiB."""


def dumps_spec(spec: PrefixSpec) -> str:
    """Write *spec* as the YAML text of an init file; what is at its default is left out.

    Raises:
        LagoError: Free-form values hold something that YAML's core has no form for.
    """
    return emit_yaml(unstructure_spec(spec))


def unstructure_spec(spec: PrefixSpec) -> dict[str, Any]:
    """Return *spec* as a plain mapping with the keys of an init file."""
    return {
        "nets": {net.name: _keys(net) for net in spec.nets},
        "domains": {vm.name: _vm_keys(vm) for vm in spec.vms},
    }


def _vm_keys(vm: VMSpec) -> dict[str, Any]:
    keys = _keys(vm)
    if vm.ova is not None:
        keys = {DOMAIN_TYPE.name: "ova", "memory": _memory(vm.memory), "vcpu": vm.vcpu, **keys}
        keys = {name: value for name, value in keys.items() if value or name not in FROM_ARCHIVE}
    if vm.deploy_scripts:
        scripts = {DEPLOY_SCRIPTS.name: list(vm.deploy_scripts)}
        keys["metadata"] = {**scripts, **keys.get("metadata", {})}
    return keys


def _keys(model: Any) -> dict[str, Any]:
    """The keys of a model whose fields are not at their default."""
    keys: dict[str, Any] = {}
    if isinstance(model, DiskSpec):
        keys["type"] = _KINDS[type(model)]
    for name, field, default in _written(type(model)):
        value = getattr(model, field)
        if value != default:
            convert = _SPECIAL.get(field, _plain)
            keys[name] = convert(value)
    return keys


def _written(cls: type[Any]) -> list[tuple[str, str, object]]:
    """Key, field and default of all that a model writes; a required field has no default."""
    found = _WRITTEN.get(cls)
    if found is None:
        found = _WRITTEN[cls] = [
            (key.name, field.name, _default(field))
            for field in attrs.fields(cls)
            if (key := find_key(field)) is not None
        ]
    return found


_WRITTEN: dict[type, list[tuple[str, str, object]]] = {}


def plain_default(cls: type[Any], field: str) -> Any:
    """Return the default of a model's field as it would be written; ``None`` without one."""
    for _, name, default in _written(cls):
        if name == field and default is not _REQUIRED and default is not None:
            convert = _SPECIAL.get(field, _plain)
            return convert(default)
    return None


def _default(field: attrs.Attribute[Any]) -> object:
    default: Any = field.default
    if default is attrs.NOTHING:
        return _REQUIRED
    return default.factory() if hasattr(default, "factory") else default


_REQUIRED = object()


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, BuildStep):
        return {value.builder: dict(value.options)}
    return _keys(value) if attrs.has(type(value)) else value


def _memory(mebibytes: int) -> int | str:
    if mebibytes > 0 and mebibytes % _GIBIBYTE == 0:
        return f"{mebibytes // _GIBIBYTE}GiB"
    return mebibytes


def _size(size: int) -> int | str:
    for power, letter in zip(range(len(_LETTERS), 0, -1), _LETTERS, strict=True):
        unit = 1024**power
        if size > 0 and size % unit == 0:
            return f"{size // unit}{letter}"
    return size


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "memory": _memory,
    "max_memory": _memory,
    "size": _size,
}
