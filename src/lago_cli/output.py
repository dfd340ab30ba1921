"""Data as text: Lago's indented form, JSON, YAML, flat lines, and tables for people.

Data are mappings, lists and scalars as JSON knows them. The forms ``default`` and ``flat`` are
Lago's, so that scripts which read them keep working.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO, TypeAlias

import typer

Scalar: TypeAlias = str | int | float | bool | None
Data: TypeAlias = "Mapping[str, Data] | Sequence[Data] | Scalar"

_INDENT = "    "
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@-]+)*")
"""Text that YAML takes for a string without quotes, unless it is one of the words below."""
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON strings may hold as it is and YAML may not."""
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", ".inf", ".nan"})


def render(data: Data, form: str) -> str:
    """Write *data* in the form ``default``, ``json``, ``yaml`` or ``flat``."""
    if form == "json":
        return json.dumps(data, indent=4, sort_keys=True, ensure_ascii=False)
    lines = {"yaml": _yaml, "flat": _flat_top}.get(form, _default)(data)
    return "\n".join(lines)


def _is_list(data: Data) -> bool:
    return isinstance(data, Sequence) and not isinstance(data, str)


def _default(data: Data, indent: str = "") -> Iterator[str]:
    """Lago's form: ``[key]:`` above a mapping; empty mappings and empty scalars left out."""
    if isinstance(data, Mapping):
        for key, value in sorted(data.items()):
            if isinstance(value, Mapping) or _is_list(value):
                if value:
                    yield f"{indent}[{key}]:"
                    yield from _default(value, indent + _INDENT)
            elif value is not None and value != "":
                yield f"{indent}{key}: {value}"
    elif isinstance(data, Sequence) and not isinstance(data, str):
        for index, item in enumerate(data):
            if isinstance(item, Mapping):
                yield f"{indent}[{index}]:"
                yield from _default(item, indent + _INDENT)
            else:
                yield from _default(item, indent)
    else:
        yield f"{indent}{_text(data)}"


def _flat_top(data: Data) -> Iterator[str]:
    """As Lago: without the outer ``Prefix``."""
    if isinstance(data, Mapping) and set(data) == {"Prefix"}:
        data = data["Prefix"]
    return _flat(data, "")


def _flat(data: Data, path: str) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in sorted(data.items()):
            yield from _flat(value, f"{path}/{key}" if path else key)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        for index, item in enumerate(data):
            plain = not path and not isinstance(item, Mapping)
            place = "" if plain else f"{path}/{index}" if path else str(index)
            yield from _flat(item, place)
    else:
        yield f"{path}: {_text(data)}".rstrip() if path else _text(data)


def _yaml(data: Data, indent: str = "") -> Iterator[str]:
    """Block style; strings that could be anything else are written as JSON, which is YAML too."""
    if isinstance(data, Mapping):
        items = [(f"{_yaml_scalar(key)}:", value) for key, value in sorted(data.items())]
    elif isinstance(data, Sequence) and not isinstance(data, str):
        items = [("-", value) for value in data]
    else:
        yield f"{indent}{_yaml_scalar(data)}"
        return
    if not items:
        yield f"{indent}{'{}' if isinstance(data, Mapping) else '[]'}"
    for head, value in items:
        nested = isinstance(value, Mapping) or _is_list(value)
        lines = list(_yaml(value, f"{indent}  " if nested and value else ""))
        if nested and value and head != "-":
            yield f"{indent}{head}"
            yield from lines
        else:
            yield f"{indent}{head} {lines[0].lstrip()}"
            yield from lines[1:]


def _yaml_scalar(value: Data) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _text(value: Data) -> str:
    return "" if value is None else str(value)


def render_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """Write a table with aligned columns; columns without any value are left out.

    Args:
        title: A line above it; none when empty.
        head: Titles of the columns.
        rows: The cells; ``None`` is shown as ``-``.
    """
    used = [
        i for i in range(len(head)) if not rows or any(row[i] not in {None, ""} for row in rows)
    ]
    cells = [[head[i] for i in used], *([row[i] or "-" for i in used] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(used))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([title, *lines] if title else lines)


def paint(text: str, color: str, *, stream: TextIO) -> str:
    """Color *text* where *stream* is a terminal and the user has not set ``NO_COLOR``."""
    if os.environ.get("NO_COLOR") or not stream.isatty():
        return text
    return typer.style(text, fg=color)
