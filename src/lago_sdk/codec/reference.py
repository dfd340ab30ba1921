"""The reference page of the init file, made from the models.

Run ``python -m lago_sdk.codec.reference`` in the checkout to write ``docs/init-file.md``;
a test holds the two against each other.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from lago_sdk.codec.structure import model_rule
from lago_sdk.spec.disk import BuildStep, DiskSpec
from lago_sdk.spec.net import DhcpRange, NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import Bootstrap, ShareSpec, VMSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_sdk.spec.keys import Key

PAGE = "docs/init-file.md"

_HEAD = f"""\
# The init file

<!-- Made by `python -m lago_sdk.codec.reference`; change the models in `lago_sdk/spec`. -->

A YAML or JSON file (usual name: `LagoInitFile`) with two sections: `nets` and `domains`.

```yaml
nets:
  lan:
    management: true
    dhcp: {{start: 100, end: 254}}
domains:
  web:
    memory: 1GiB
    nics:
      - net: lan
    disks:
      - type: template
        template_name: tiny
```

- Text is tried as JSON first, then read as YAML. Anchors, aliases and merge keys (`<<`) work;
  further keys at the top level, which often hold anchors, are ignored.
- Keys that start with `{EXTENSION_PREFIX}` are yours, everywhere. Any other unknown key is a
  warning, and an error under `lagoctl validate --strict`.
- Numbers may be written as text (`"1024"`); booleans are `true`/`false` and YAML 1.1's `yes`,
  `no`, `on`, `off`. A value without quotes keeps its text where text is wanted, so
  `template_version: 1.10` is `1.10`. In free-form values numbers are those of YAML 1.2: `0755`,
  `12:30` and `2020-01-01` stay text.
- Sizes are in QEMU's words: `512M`, `10G`, `1.5T` (powers of 1024; `GiB` and so on work too).
- `$NAME`, `${{NAME}}` and a leading `~/` are expanded in paths, URLs and scripts, without a
  shell, when they are used. `$LAGO_INITFILE_PATH` is the directory of the init file,
  `$LAGO_PREFIX_PATH` that of the prefix. Unknown variables stay as they are.
- `lagoctl validate --schema` prints a JSON Schema for editors.
"""

_WORDS: dict[Any, str] = {
    str: "text",
    int: "number",
    bool: "boolean",
    IPv4Network: "subnet",
    IPv6Network: "subnet",
    BuildStep: "map",
    DiskSpec: "[disk](#disks)",
    NicSpec: "[nic](#nics)",
    ShareSpec: "[share](#shares)",
    DhcpRange: "[range](#dhcp), boolean",
}
_SPECIAL = {"memory": "size", "max_memory": "size", "size": "size"}


def render_reference() -> str:
    """Return the reference page as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## `domains`\n"
    yield "The VMs, by name. The name is the host name too: letters, digits, `-` and `.`.\n"
    yield from _section([(BASED_ON, "text, list, map", None), (DOMAIN_TYPE, "`ova`", None)], VMSpec)
    yield "### `metadata`\n"
    yield "Free-form, but for one key:\n"
    yield from _table([(DEPLOY_SCRIPTS, "list of text", None)])
    yield "### `nics`\n"
    yield from _section([], NicSpec)
    yield "### `disks`\n"
    yield "What all types of disks have in common:\n"
    words = ", ".join(f"`{word}`" for word in DISK_TYPES)
    yield from _section([(DISK_TYPE, words, None)], DiskSpec)
    common = set(model_rule(DiskSpec).fields)
    for word, cls in DISK_TYPES.items():
        yield f"#### `type: {word}`\n"
        yield f"{(cls.__doc__ or '').splitlines()[0]}\n"
        yield from _table(entry for entry in _entries(cls) if entry[0].name not in common)
    yield "### `shares`\n"
    yield from _section([], ShareSpec)
    yield "## `nets`\n"
    yield "The nets, by name.\n"
    yield from _section([], NetSpec)
    yield "### `dhcp`\n"
    yield f"{' '.join((DhcpRange.__doc__ or '').split())} `true` is the whole /24.\n"
    yield from _section([], DhcpRange)
    yield "## `prototypes`\n"
    yield "Maps with keys of domains, by name, for `based-on`. They may be based on each other.\n"
    yield "## Where it differs from Lago\n"
    yield from _differences()


def _section(extra: Sequence[tuple[Key, str, Any]], cls: type[Any]) -> Iterator[str]:
    yield from _table([*extra, *_entries(cls)])
    silent = sorted(SILENT_KEYS.get(cls, frozenset()))
    if silent:
        listed = ", ".join(f"`{name}`" for name in silent)
        yield f"Keys that Lago wrote itself are taken and do nothing: {listed}.\n"


def _entries(cls: type[Any]) -> Iterator[tuple[Key, str, Any]]:
    hints = typing.get_type_hints(cls)
    for name, field in model_rule(cls).fields.items():
        if name == field.key.name:
            told = _SPECIAL.get(field.field) or _type(hints[field.field], field.field)
            default = "required" if field.required else plain_default(cls, field.field)
            yield field.key, told, default


def _table(entries: typing.Iterable[tuple[Key, str, Any]]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, told, default in entries:
        values = ", ".join(f"`{word}`" for word in key.choices) or told
        yield f"| `{key.name}` | {values} | {_default(default)} | {_meaning(key)} |"
    yield ""


def _meaning(key: Key) -> str:
    text = key.doc
    if key.unit is not None:
        text += f" A bare number is {key.unit}."
    if key.example is not None:
        text += f" Example: `{key.example}`."
    for alias in key.aliases:
        text += f" Old spelling: `{alias}`."
    return text.replace("|", "\\|")


def _default(default: Any) -> str:
    if default is None or default in ([], {}, ""):
        return ""
    if default == "required":
        return "required"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _type(kind: Any, field: str) -> str:
    known = _WORDS.get(kind)
    if known is not None:
        return known
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType or origin is typing.Union:
        return ", ".join(_type(x, field) for x in arguments if x is not types.NoneType)
    if origin is tuple:
        return f"list of {_type(arguments[0], field)}"
    if origin is Mapping:
        return "map" if arguments[1] is Any else "map of text"
    assert issubclass(kind, enum.Enum)
    words = ", ".join(f"`{member.value}`" for member in kind)
    return f"{words}, boolean" if kind is Bootstrap else words


def _differences() -> Iterator[str]:
    keys = [BASED_ON, DOMAIN_TYPE, DEPLOY_SCRIPTS, DISK_TYPE]
    models = (VMSpec, NicSpec, DiskSpec, *DISK_TYPES.values(), ShareSpec, NetSpec, DhcpRange)
    for cls in models:
        keys += [field.key for field in model_rule(cls).fields.values()]
    told = {key.name: key.lago for key in keys if key.lago is not None}
    for name, difference in told.items():
        yield f"- `{name}`: {difference}."
    yield ""


def main() -> None:
    """Write the page to ``docs/init-file.md`` below the working directory."""
    Path(PAGE).write_text(render_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
