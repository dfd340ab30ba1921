"""A text of an init file as plain values that know where they stood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.codec.values import Plain
from lago_sdk.codec.yaml_marks import Mark, YamlTextError, to_mark
from lago_sdk.codec.yaml_text import Composed, compose_yaml
from lago_sdk.spec.problems import Path, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

Origins = dict[Path, dict[str, Path]]
"""Where inherited keys stand: by path of a map, by key, the path of the map it came from."""


@attrs.define
class Document:
    """One parsed init file."""

    value: Any
    """Plain values; ``None`` where the text could not be read."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the text as text."""
    origins: Origins = attrs.field(factory=dict)
    """Filled when prototypes are applied."""
    _json_text: str | None = None
    _composed: Composed | None = None

    def locate(self, path: Path, *, at_key: bool = False) -> Mark | None:
        """Find the place of *path*, or of the nearest thing around it.

        Args:
            path: Where the problem is; need not exist in the text.
            at_key: Point at the last key rather than at its value.
        """
        composed = self._marks()
        return None if composed is None else _locate(composed, self.origins, path, at_key=at_key)

    def _marks(self) -> Composed | None:
        """The places of all values; for JSON they are found only now."""
        if self._composed is None and self._json_text is not None:
            self._composed = _compose_json(self._json_text)
        return self._composed


def parse_document(text: str) -> Document:
    """Read *text* as JSON, and where it is not JSON, as YAML (Lago's order)."""
    text = text.removeprefix("\ufeff")
    has_duplicates = False

    def take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_duplicates
        found = dict(pairs)
        has_duplicates = has_duplicates or len(found) != len(pairs)
        return found

    try:
        # A float keeps its text (1.10 is a version), like an unquoted scalar of YAML.
        value = json.loads(text, object_pairs_hook=take_pairs, parse_float=Plain)
    except (ValueError, RecursionError) as error:
        return _parse_yaml(text, error)
    document = Document(value=value, json_text=text)
    if has_duplicates:
        composed = _compose_json(text)
        document.problems = tuple(composed.problems) if composed else ()
    return document


def _parse_yaml(text: str, json_error: Exception) -> Document:
    try:
        composed = compose_yaml(text)
    except YamlTextError as error:
        return Document(value=None, problems=(_syntax_problem(text, error, json_error),))
    if composed.is_empty:
        problem = Problem(
            message="the file is empty",
            hint="it needs the sections 'nets' and 'domains'",
            code="empty-file",
            line=1,
            column=1,
        )
        return Document(value=None, problems=(problem,))
    return Document(value=composed.value, problems=tuple(composed.problems), composed=composed)


def _syntax_problem(text: str, error: YamlTextError, json_error: Exception) -> Problem:
    """What to say about a text that is neither JSON nor YAML."""
    start = text.lstrip()[:2]
    if start.startswith("{") and start != "{{" and isinstance(json_error, json.JSONDecodeError):
        return Problem(
            message=f"not valid JSON: {json_error.msg[:1].lower()}{json_error.msg[1:]}",
            code="json-syntax",
            line=json_error.lineno,
            column=json_error.colno,
        )
    mark = error.mark or Mark(1, 1)
    return Problem(
        message=error.message, hint=error.hint, code=error.code, line=mark.line, column=mark.column
    )


def _compose_json(text: str) -> Composed | None:
    """Find the places in a JSON text: it is YAML once tabs are spaces, and columns stay."""
    try:
        return compose_yaml(text.replace("\t", " "))
    except YamlTextError:
        return None  # rare escapes that only JSON has: the problem is shown without a place


def _locate(
    composed: Composed, origins: Mapping[Path, Mapping[str, Path]], path: Path, *, at_key: bool
) -> Mark:
    value = composed.value
    best = Mark(1, 1)
    for index, step in enumerate(path):
        marks = composed.values.get(id(value), {})
        if step not in marks:
            origin = origins.get(path[:index], {}).get(str(step))
            if origin is None:
                return best
            return _locate(composed, origins, origin + path[index:], at_key=at_key)
        child = value[step]
        is_last = index == len(path) - 1
        if isinstance(value, dict) and (isinstance(child, (dict, list)) or (is_last and at_key)):
            # A block's start is on the next line; its key is where people look.
            best = to_mark(composed.keys[id(value)][str(step)])
        else:
            best = to_mark(marks[step])
        value = child
    return best
