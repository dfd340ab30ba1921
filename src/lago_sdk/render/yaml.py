"""YAML in its plainest form: block style, every text double-quoted, one line a scalar.

Any YAML parser, of version 1.1 or 1.2, reads the same values from it, and so do the few lines
of awk in small guests. Source: YAML 1.2.2, chapters 5.7 (escapes) and 7.3.1 (double quotes).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""What YAML 1.1 takes for something else than text."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def render_yaml(value: Mapping[str, object]) -> str:
    """Return *value* as a YAML document.

    Args:
        value: A map of texts, numbers, booleans, ``None``, dates (which become texts),
            sequences and further maps. Keys that are not texts are written as texts.

    Raises:
        TypeError: It holds something else.
    """
    return "".join(f"{line}\n" for line in _block(value)) if value else "{}\n"


def _block(value: object) -> list[str]:
    """Return the lines of a map or sequence that is not empty."""
    lines = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            lines += _attach(f"{_key(str(key))}:", item)
    elif isinstance(value, Sequence):
        for item in value:
            nested = _block(item) if _is_block(item) else [_scalar(item)]
            lines.append(f"- {nested[0]}")
            lines += [f"  {line}" for line in nested[1:]]
    return lines


def _attach(head: str, item: object) -> list[str]:
    if _is_block(item):
        return [head, *(f"  {line}" for line in _block(item))]
    return [f"{head} {_scalar(item)}"]


def _is_block(value: object) -> bool:
    is_text = isinstance(value, (str, bytes))
    return isinstance(value, (Mapping, Sequence)) and not is_text and bool(value)


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS:
        return key
    return _quote(key)


def _scalar(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case str():
            return _quote(value)
        case dt.date():
            return _quote(value.isoformat())
        case Mapping():
            return "{}"
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return "[]"
    raise TypeError(f"{type(value).__name__} cannot be written as YAML")


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    mantissa, exponent, power = repr(value).partition("e")
    # YAML 1.1 sees a number only where there is a point, and a sign in the exponent.
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    sign = "" if not exponent or power[0] in "+-" else "+"
    return f"{mantissa}{exponent}{sign}{power}"


def _quote(text: str) -> str:
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable() and not 0xD800 <= code <= 0xDFFF:
        return char
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
