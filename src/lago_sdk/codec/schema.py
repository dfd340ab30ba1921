"""JSON Schema of the init file, made from the models.

Good enough for an editor to complete keys, show what they mean and mark mistakes: descriptions,
defaults, examples and choices all come from the fields (:mod:`lago_sdk.spec.keys`).

Format: JSON Schema draft 7 (https://json-schema.org/draft-07), which editors know best.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from lago_sdk.codec.dump import plain_default
from lago_sdk.codec.language import (
    BASED_ON,
    DEPLOY_SCRIPTS,
    DISK_TYPE,
    DISK_TYPES,
    DOMAIN_TYPE,
    EXTENSION_PREFIX,
    SILENT_KEYS,
)
from lago_sdk.codec.structure import FieldRule, model_rule
from lago_sdk.codec.values import to_free_form
from lago_sdk.codec.yaml_text import compose_yaml
from lago_sdk.spec.disk import DiskSpec
from lago_sdk.spec.net import DhcpRange, NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import Bootstrap, ShareSpec, VMSpec

if typing.TYPE_CHECKING:
    from lago_sdk.spec.keys import Key

Schema = dict[str, Any]

_TEXT: Schema = {"type": ["string", "number"]}
_INTEGER: Schema = {"type": ["integer", "string"], "pattern": "^[-+]?[0-9][0-9_]*$|^0[xX]"}
_SIZE: Schema = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]+(\\.[0-9]+)?\\s*([KkMmGgTtPpEe]([iI][bB])?|[bB]|[bB]ytes)?$",
}
_BOOLEAN: Schema = {"type": "boolean"}
_NOTHING: Schema = {"type": "null"}
_DOMAIN, _DISK, _NIC, _NET, _SHARE, _DHCP = "domain", "disk", "nic", "net", "share", "dhcp"


def json_schema() -> Schema:
    """Return the JSON Schema (draft 7) of an init file."""
    domains = {"additionalProperties": _nullable(_ref(_DOMAIN)), "type": ["object", "null"]}
    nets = {"additionalProperties": _nullable(_ref(_NET)), "type": ["object", "null"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Init file of lago_sdk",
        "description": "Describes a small virtual data centre: VMs and the nets between them.",
        "type": "object",
        "required": ["domains", "nets"],
        "properties": {
            "domains": {"description": "The VMs, by name.", **domains},
            "nets": {"description": "The nets, by name.", **nets},
            "prototypes": {"description": "Maps that domains are based on, by name.", **domains},
        },
        "definitions": {
            _DOMAIN: _domain_schema(),
            _DISK: _disk_schema(),
            _NIC: _model_schema(NicSpec),
            _NET: _model_schema(NetSpec),
            _SHARE: _model_schema(ShareSpec),
            _DHCP: _model_schema(DhcpRange, required=False),
        },
    }


def _domain_schema() -> Schema:
    schema = _model_schema(VMSpec)
    reference = {"type": ["string", "object"]}
    properties = {
        BASED_ON.name: _describe(
            BASED_ON, {"anyOf": [reference, {"type": "array", "items": reference}]}
        ),
        DOMAIN_TYPE.name: _describe(DOMAIN_TYPE, {"enum": [*DOMAIN_TYPE.choices]}),
        **schema["properties"],
    }
    scripts = _describe(DEPLOY_SCRIPTS, {"type": "array", "items": {"type": "string"}})
    properties["metadata"] = {
        **properties["metadata"],
        "properties": {DEPLOY_SCRIPTS.name: scripts},
    }
    return {**schema, "properties": properties}


def _disk_schema() -> Schema:
    kinds = []
    for word, cls in DISK_TYPES.items():
        schema = _model_schema(cls)
        kind = _describe(DISK_TYPE, {"const": word})
        schema["title"] = f"Disk of type {word}"
        schema["description"] = (cls.__doc__ or "").splitlines()[0]
        schema["properties"] = {DISK_TYPE.name: kind, **schema["properties"]}
        schema["required"] = [DISK_TYPE.name, *schema.get("required", ())]
        kinds.append(schema)
    return {"oneOf": kinds}


def _model_schema(cls: type[Any], *, required: bool = True) -> Schema:
    rule = model_rule(cls)
    hints = typing.get_type_hints(cls)
    properties: dict[str, Schema] = {}
    for name, field in rule.fields.items():
        if field.is_alias:
            continue
        properties[name] = _describe(
            field.key, _special(field) or _type_schema(hints[field.field]), cls, field.field
        )
    for field in rule.fields.values():
        for alias in field.key.aliases:
            note = f"Old spelling of `{field.key.name}`."
            properties[alias] = {"deprecated": True, "description": note}
    silent: dict[str, Schema] = {
        name: {} for name in sorted(SILENT_KEYS.get(cls, frozenset())) if name != "type"
    }
    schema: Schema = {
        "type": "object",
        "properties": {**properties, **silent},
        "patternProperties": {f"^{EXTENSION_PREFIX}": {}},
        "additionalProperties": False,
    }
    if required and rule.required:
        schema["required"] = [field.key.name for field in rule.required]
    return schema


def _describe(
    key: Key, schema: Schema, cls: type[Any] | None = None, field: str | None = None
) -> Schema:
    text = key.doc if key.unit is None else f"{key.doc} A bare number is {key.unit}."
    described: Schema = {"description": text, **schema}
    if cls is not None and field is not None:
        default = plain_default(cls, field)
        if default not in (None, [], {}):
            described["default"] = default
    if key.example is not None:
        described["examples"] = [to_free_form(compose_yaml(key.example).value)]
    if key.choices and "enum" not in schema and "const" not in schema:
        described["anyOf"] = [{"enum": list(key.choices)}, {"type": "string"}]
        described.pop("type", None)
    return described


def _special(field: FieldRule) -> Schema | None:
    return _SPECIAL.get(field.field)


def _type_schema(kind: Any) -> Schema:
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return dict(simple)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType or origin is typing.Union:
        return _union_schema([x for x in arguments if x is not types.NoneType])
    if origin is tuple:
        items = _type_schema(arguments[0])
        if "$ref" in items:
            return {"type": "array", "items": items}
        return {"anyOf": [{"type": "array", "items": items}, items]}
    if origin is Mapping:
        values = {} if arguments[1] is Any else {"additionalProperties": {"type": "string"}}
        return {"type": "object", **values}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    return _ref(_REFERENCES[kind])


def _union_schema(kinds: list[Any]) -> Schema:
    if len(kinds) == 1:
        return _type_schema(kinds[0])
    return {"anyOf": [_type_schema(kind) for kind in kinds]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NOTHING]}


_REFERENCES: dict[Any, str] = {
    DiskSpec: _DISK,
    NicSpec: _NIC,
    ShareSpec: _SHARE,
    DhcpRange: _DHCP,
}
_SIMPLE: dict[Any, Schema] = {
    str: _TEXT,
    int: _INTEGER,
    bool: _BOOLEAN,
    IPv4Network: {"type": "string", "pattern": r"^[0-9.]+/[0-9]+$"},
    IPv6Network: {"type": "string", "pattern": r"^[0-9a-fA-F:.]+/[0-9]+$"},
}
_SPECIAL: dict[str, Schema] = {
    "memory": _SIZE,
    "max_memory": _SIZE,
    "size": _SIZE,
    "bootstrap": {"enum": [*(member.value for member in Bootstrap), True, False]},
    "dhcp": {"anyOf": [_ref(_DHCP), _BOOLEAN]},
    "build": {
        "type": "array",
        "items": {"type": "object", "minProperties": 1, "maxProperties": 1},
    },
}
"""Fields whose values have a form of their own, as the structurer knows it."""
