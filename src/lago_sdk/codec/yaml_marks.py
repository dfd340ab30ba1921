"""Places in YAML text, and the error that points at one."""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen
class Mark:
    """A place in a text, counted from 1."""

    line: int
    column: int


class SourceMark(Protocol):
    """libyaml's own mark, which counts from 0."""

    line: int
    column: int


class YamlTextError(Exception):
    """The text cannot be read as an init file's YAML.

    Attributes:
        message: What is wrong, one sentence without a full stop.
        mark: Where, if known.
        hint: What to try.
        code: The problem's stable identifier.
    """

    def __init__(
        self, message: str, mark: Mark | None, *, hint: str | None = None, code: str = "yaml-syntax"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark
        self.hint = hint
        self.code = code


def to_mark(mark: SourceMark) -> Mark:
    """Translate libyaml's mark, which counts from 0."""
    return Mark(mark.line + 1, mark.column + 1)
