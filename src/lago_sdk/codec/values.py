"""Plain values as they come out of a text, before anybody knows what type they should have.

A scalar without quotes keeps its text (:class:`Plain`) until the field it sets says what it is:
``template_version: 1.10`` stays ``1.10``, ``mac: 52:54:00:12:34:56`` is no base-60 number, and a
VM may be called ``on``. Only in free-form values (``metadata``, ``user-data``, ``cpu_custom``,
build options) is the text resolved, by :func:`resolve_plain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


class BadValue(Exception):  # noqa: N818 - caught where it is turned into a Problem
    """A value is not what its key takes.

    Attributes:
        message: What is wrong, one sentence without a full stop.
        hint: What to try.
        code: The problem's stable identifier.
    """

    def __init__(self, message: str, *, hint: str | None = None, code: str = "bad-value") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class Plain(str):
    """A scalar that was written without quotes."""

    __slots__ = ()


NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL"})
"""Plain scalars that mean nothing."""

_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")
BOOLEAN_WORDS: Mapping[str, bool] = {
    form: value
    for words, value in ((_TRUE, True), (_FALSE, False))
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
"""The boolean words of YAML 1.1 as PyYAML (and so Lago) took them; not ``y`` and ``n``."""

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,3999})\Z")
"""Python refuses to convert more than 4,300 digits; such a thing stays text."""

_RADIX = re.compile(r"0(x[0-9a-fA-F]+|o[0-7]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


def resolve_plain(text: str) -> object:
    """Return what a plain scalar means where no field tells its type.

    Numbers are those of YAML 1.2's core schema, so ``0755``, ``12:30`` and ``2020-01-01`` stay
    text; booleans are YAML 1.1's words (``yes``, ``off``, …), as Lago's parser read them.
    """
    if text in NULL_WORDS:
        return None
    if text in BOOLEAN_WORDS:
        return BOOLEAN_WORDS[text]
    if _INT.match(text):
        return int(text)
    if _RADIX.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    special = _SPECIAL.match(text)
    if special:
        return float("nan") if special.group(3) else float(f"{special.group(1)}inf")
    return str(text)


MAX_DEPTH = 100
"""How deep collections may be nested."""


def to_free_form(value: Any, *, depth: int = 0) -> Any:
    """Return a deep copy of *value* as plain dicts, lists and scalars, plain text resolved.

    Raises:
        BadValue: It is nested too deep (or inside itself), or holds objects that neither YAML's
            core nor JSON has a form for.
    """
    if isinstance(value, Plain):
        return resolve_plain(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if depth >= MAX_DEPTH:
        raise BadValue(f"nested more than {MAX_DEPTH} levels deep", code="too-deep")
    if isinstance(value, Mapping):
        return {str(key): to_free_form(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_free_form(item, depth=depth + 1) for item in value]
    raise BadValue(
        f"an init file has no form for a value of type {type(value).__name__}",
        hint="use text, numbers, booleans, lists and maps",
        code="wrong-type",
    )
