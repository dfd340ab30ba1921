"""Collects problems while a spec is read and checked."""

from __future__ import annotations

from lago_sdk.spec.problems import Path, Problem, Severity


class Sink:
    """A growing list of problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, path: Path, message: str, *, hint: str | None = None, code: str) -> None:
        """Note that the spec cannot be used."""
        self.problems.append(Problem(message=message, path=path, hint=hint, code=code))

    def warn(self, path: Path, message: str, *, hint: str | None = None, code: str) -> None:
        """Note something that the user should look at."""
        self.problems.append(
            Problem(message=message, path=path, hint=hint, code=code, severity=Severity.WARNING)
        )
