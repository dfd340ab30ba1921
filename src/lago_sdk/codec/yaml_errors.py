"""What libyaml says about bad YAML, in words that help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.codec.yaml_marks import Mark, YamlTextError, to_mark

if TYPE_CHECKING:
    from ruamel.yaml.error import YAMLError

_TAB = "indent with spaces: YAML does not allow tabs there"

_KNOWN: tuple[tuple[str, str, str | None], ...] = (
    (
        "mapping values are not allowed",
        "a second ':' in one line, or a line that is indented by mistake",
        "quote the value if it contains ': ', or align the key with its siblings",
    ),
    (
        "did not find expected ',' or ']'",
        "a list that starts with '[' is not closed properly",
        "look for a missing ',' or ']'",
    ),
    (
        "did not find expected ',' or '}'",
        "a map that starts with '{' is not closed properly",
        "look for a missing ',' or '}'",
    ),
    ("found unexpected end of stream", "a quote is not closed", "add the closing quote"),
    (
        "did not find expected '-' indicator",
        "a list item was expected here",
        "start it with '- ', or indent the line less or more",
    ),
    (
        "did not find expected key",
        "this line does not fit the indentation of the lines above",
        "align it with its siblings",
    ),
    ("could not find expected ':'", "a key without ':'", "write 'key: value'"),
    (
        "found unknown escape character",
        "an unknown escape after a backslash in a double-quoted text",
        "double the backslash, or use single quotes",
    ),
    (
        "found unexpected ':'",
        "a value with ':' needs quotes inside '{ }' and '[ ]'",
        "for example {mac: '52:54:00:00:00:01'}",
    ),
    ("found a tab character", "a tab is used for indentation", _TAB),
)
"""Part of libyaml's message, ours, and a hint."""


def explain_yaml_error(error: YAMLError, text: str) -> YamlTextError:
    """Translate an error of ruamel.yaml into one sentence with place and hint."""
    position: int | None = getattr(error, "position", None)
    if position is not None:
        character = getattr(error, "character", 0)
        return YamlTextError(
            f"a control character (U+{int(character):04X}) is in the text",
            _mark_at(text, position),
            hint="remove it, or write it as an escape in double quotes",
        )
    problem = str(getattr(error, "problem", None) or error)
    problem_mark, context_mark = (
        getattr(error, f"{kind}_mark", None) for kind in ("problem", "context")
    )
    mark = None if problem_mark is None else to_mark(problem_mark)
    start = None if context_mark is None else to_mark(context_mark)
    if "cannot start any token" in problem and mark is not None:
        return _explain_character(text, mark)
    for part, message, hint in _KNOWN:
        if part in problem:
            where = start if "not closed" in message and start is not None else mark
            return YamlTextError(message, where, hint=hint)
    context = getattr(error, "context", None)
    sentence = f"{problem} {context}" if context else problem
    return YamlTextError(f"not valid YAML: {sentence}", mark or start)


def _explain_character(text: str, mark: Mark) -> YamlTextError:
    """Say which character cannot stand where it stands."""
    lines = text.splitlines()
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    character = line[mark.column - 1 : mark.column]
    if character == "\t":
        return YamlTextError("a tab is used for indentation", mark, hint=_TAB)
    return YamlTextError(
        f"a value cannot start with {character!r}", mark, hint="put the value in quotes"
    )


def _mark_at(text: str, position: int) -> Mark:
    before = text[:position]
    return Mark(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)
