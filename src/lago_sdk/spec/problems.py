"""A problem of a spec: what is wrong, where, and what to try."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the top of the init file: ``("domains", "web", "nics", 0, "net")``."""


class Severity(enum.Enum):
    """How bad a problem is."""

    ERROR = "error"
    """The spec cannot be used."""
    WARNING = "warning"
    """The spec can be used; ``validate --strict`` refuses it."""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a spec."""

    message: str
    """One sentence without a full stop."""
    path: Path = ()
    """Where in the document."""
    hint: str | None = None
    """What to try, for example ``did you mean 'lan'?``."""
    severity: Severity = Severity.ERROR
    code: str = "invalid"
    """A stable identifier in kebab-case for machines, for example ``unknown-net``."""
    file: str | None = None
    """The init file; ``None`` when the spec did not come from one."""
    line: int | None = None
    """Line in *file*, from 1."""
    column: int | None = None
    """Column in *file*, from 1."""

    @property
    def is_error(self) -> bool:
        """Whether the spec cannot be used with it."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        """``FILE:LINE:COLUMN: error: MESSAGE [PATH] (HINT)``, as compilers write it."""
        place = ":".join(str(x) for x in (self.file, self.line, self.column) if x is not None)
        text = f"{place}: " if place else ""
        text += f"{self.severity.value}: {self.message}"
        if self.path:
            text += f" [{format_path(self.path)}]"
        return f"{text} ({self.hint})" if self.hint else text


def format_path(path: Path) -> str:
    """Write a path as ``domains.web.nics[0].net``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
