"""Plain values to block YAML that people like to read.

Text is written without quotes where every reader takes it for the same text (also YAML 1.1
readers such as PyYAML, which see booleans in ``yes`` and numbers in ``12:30``), as a literal
block where it has several lines, and in double quotes otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = "  "
_PLAIN = re.compile(
    r"""(?:[A-Za-z_/$][\w/$.+@=-]*(?:[ ][\w/$.+@=()][\w/$.+@=()-]*)*  # words and paths
    |https?://[\w/.+@=~%?&-]+
    |[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?  # addresses and subnets
    |[1-9][0-9]*(?:[KMGT]|GiB))\Z""",
    re.ASCII | re.VERBOSE,
)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_BLOCK_LINE = re.compile(r"(?:[^\n]*[^\s])?\Z")
_UNPRINTABLE = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML does not print, and its rarer line breaks."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_QUOTED = re.compile('["\\\\\t\n]|' + _UNPRINTABLE.pattern)


def emit_yaml(value: Mapping[str, Any]) -> str:
    """Return *value* as the text of a YAML document.

    Raises:
        LagoError: It holds something that YAML's core has no form for.
    """
    return "".join(f"{line}\n" for line in _mapping_lines(value, ""))


def _mapping_lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry_lines(f"{indent}{_text(str(key))}:", item, indent)


def _list_lines(items: list[Any] | tuple[Any, ...], indent: str) -> Iterator[str]:
    inner = indent + _STEP
    for item in items:
        if isinstance(item, Mapping) and item:
            lines = _mapping_lines(item, inner)
            yield f"{indent}- {next(lines)[len(inner) :]}"
            yield from lines
        else:
            yield from _entry_lines(f"{indent}-", item, indent)


def _entry_lines(head: str, item: Any, indent: str) -> Iterator[str]:
    """Lines of a value that follows *head*, which is a key or a dash."""
    inner = indent + _STEP
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping_lines(item, inner)
    elif isinstance(item, list | tuple) and item:
        yield head
        yield from _list_lines(item, inner)
    elif isinstance(item, str) and _is_block(item):
        yield f"{head} {'|' if item.endswith(chr(10)) else '|-'}"
        for line in item.removesuffix("\n").split("\n"):
            yield f"{inner}{line}" if line else ""
    else:
        yield f"{head} {_scalar(item)}"


def _is_block(text: str) -> bool:
    lines = text.removesuffix("\n").split("\n")
    return (
        "\n" in text
        and not lines[0].startswith((" ", "\t"))
        and bool(lines[0] and lines[-1])
        and not _UNPRINTABLE.search(text)
        and all(_BLOCK_LINE.match(line) for line in lines)
    )


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    raise LagoError(
        f"a value of type {type(value).__name__} cannot be written to an init file",
        hint="use text, numbers, booleans, lists and maps",
    )


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    if "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text


def _text(text: str) -> str:
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return f'"{_QUOTED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
