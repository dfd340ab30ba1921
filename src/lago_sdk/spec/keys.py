"""How a field of a model appears in the init file.

The codec, the JSON Schema and the reference page of the init file are all made from these
records, so a key is described once: beside the field it sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_METADATA = "lago_key"


@attrs.frozen(kw_only=True)
class Key:
    """The key of the init file that sets a field."""

    name: str
    """The key as written, for example ``root-password``."""
    doc: str
    """What it does: a sentence or two in Markdown."""
    unit: str | None = None
    """Unit of a bare number, for example ``MiB``."""
    aliases: tuple[str, ...] = ()
    """Old spellings that are accepted with a warning."""
    lago: str | None = None
    """Where our meaning or default differs from Lago's, and why."""
    example: str | None = None
    """A value as it is written in YAML."""
    choices: tuple[str, ...] = ()
    """Values to offer where the type alone does not tell them."""


def key(
    name: str,
    doc: str,
    *,
    unit: str | None = None,
    aliases: tuple[str, ...] = (),
    lago: str | None = None,
    example: str | None = None,
    choices: tuple[str, ...] = (),
) -> Mapping[str, Key]:
    """Return the ``metadata`` of an attrs field that is set by the key *name*."""
    record = Key(
        name=name,
        doc=doc,
        unit=unit,
        aliases=aliases,
        lago=lago,
        example=example,
        choices=choices,
    )
    return {_METADATA: record}


def find_key(field: attrs.Attribute[Any]) -> Key | None:
    """Return the key that sets *field*, or ``None`` when the init file cannot set it."""
    found: Key | None = field.metadata.get(_METADATA)
    return found
