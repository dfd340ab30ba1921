"""Plans as JSON text, for the prefix directory. ``loads_plan(dumps_plan(plan)) == plan``.

Every field is written, defaults too: what was decided stays decided when a default changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any

from lago_sdk.codec.free import decode_free, encode_free
from lago_sdk.errors import LagoError, WorkdirError
from lago_sdk.plan.models import Plan
from lago_sdk.spec.disk import DiskSpec, EmptyDisk, FileDisk, TemplateDisk
from lago_sdk.spec.net import SubnetChoice

if TYPE_CHECKING:
    from cattrs import Converter

_VERSION = 1
"""Version of the format; raised when older code cannot read what newer code writes."""

_DISK_KINDS: Mapping[str, type[DiskSpec]] = {
    "template": TemplateDisk,
    "empty": EmptyDisk,
    "file": FileDisk,
}
_KIND_OF_DISK = {kind: name for name, kind in _DISK_KINDS.items()}

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, LagoError)
"""What reading raises where a value is missing or not of its kind."""

_FREE_TYPES = (
    Mapping[str, Any],
    Mapping[str, object],
    str | Mapping[str, Any] | None,
)
_ADDRESS_TYPES = (IPv4Address, IPv6Address, IPv4Network, IPv6Network)


def dumps_plan(plan: Plan) -> str:
    """Write *plan* as JSON.

    Raises:
        LagoError: Its metadata holds objects that neither JSON nor YAML knows.
    """
    document = {"version": _VERSION, "plan": _converter().unstructure(plan)}
    return json.dumps(document)


def loads_plan(text: str) -> Plan:
    """Read what :func:`dumps_plan` wrote.

    Raises:
        WorkdirError: The text is damaged, or a later version wrote it.
    """
    from cattrs.errors import ForbiddenExtraKeysError

    try:
        document = json.loads(text)
        version = document["version"]
        if version == _VERSION:
            return _converter().structure(document["plan"], Plan)
    except (*_DAMAGE, ForbiddenExtraKeysError) as error:
        raise WorkdirError(f"the recorded plan of the prefix is damaged: {error}") from error
    raise WorkdirError(
        f"the recorded plan of the prefix has version {version!r}, and {_VERSION} is understood",
        hint="use the version of lago_sdk that made the prefix",
    )


@cache
def _converter() -> Converter:
    """Return the converter; made on first use, since cattrs takes long to import."""
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for address in _ADDRESS_TYPES:
        converter.register_unstructure_hook(address, str)
        converter.register_structure_hook(address, lambda value, kind: kind(value))
    _register_unions(converter)
    converter.register_unstructure_hook_func(_is_free, encode_free)
    converter.register_structure_hook_func(_is_free, lambda value, _: decode_free(value))
    _register_disks(converter)
    return converter


def _register_unions(converter: Converter) -> None:
    def write(value: Any) -> Any:
        return value.value if isinstance(value, Enum) else str(value)

    def read_subnet(value: Any, _: Any) -> Any:
        choices = {choice.value for choice in SubnetChoice}
        return SubnetChoice(value) if value in choices else ip_network(value)

    for union in (IPv4Network | SubnetChoice, IPv6Network | SubnetChoice):
        converter.register_unstructure_hook(union, write)
        converter.register_structure_hook(union, read_subnet)
    converter.register_unstructure_hook(IPv4Address | IPv6Address, write)
    converter.register_structure_hook(IPv4Address | IPv6Address, lambda value, _: ip_address(value))


def _register_disks(converter: Converter) -> None:
    """Write each disk with its kind; the field's type is their common base only."""
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

    writers = {kind: make_dict_unstructure_fn(kind, converter) for kind in _DISK_KINDS.values()}
    readers = {name: make_dict_structure_fn(kind, converter) for name, kind in _DISK_KINDS.items()}

    def write(disk: DiskSpec) -> dict[str, Any]:
        kind = type(disk)
        return {"kind": _KIND_OF_DISK[kind], "disk": writers[kind](disk)}

    def read(value: Any, _: Any) -> DiskSpec:
        kind = value["kind"]
        return readers[kind](value["disk"], _DISK_KINDS[kind])

    converter.register_unstructure_hook(DiskSpec, write)
    converter.register_structure_hook(DiskSpec, read)


def _is_free(kind: Any) -> bool:
    return any(kind == free for free in _FREE_TYPES)
