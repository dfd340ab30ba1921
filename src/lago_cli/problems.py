"""Problems of init files, printed as compilers print them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_cli.output import Data
    from lago_sdk import Problem


def format_problems(problems: "Sequence[Problem]", *, is_terminal: bool) -> str:
    """Write each problem as ``FILE:LINE:COLUMN: error: …``.

    Args:
        problems: What is wrong.
        is_terminal: Show the line of the file, with a caret, as well.
    """
    lines = []
    for problem in problems:
        lines.append(str(problem))
        if is_terminal:
            lines += _excerpt(problem)
    return "\n".join(lines)


def summarize(problems: "Sequence[Problem]") -> str:
    """Count the problems: ``2 errors and 1 warning in lab/LagoInitFile``."""
    errors = sum(problem.is_error for problem in problems)
    warnings = len(problems) - errors
    counts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    files = sorted({problem.file for problem in problems if problem.file})
    place = f" in {files[0]}" if len(files) == 1 else f" in {len(files)} files" if files else ""
    return " and ".join(counts) + place


def problem_data(problem: "Problem") -> "Data":
    """Return a problem as data."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity.value,
        "code": problem.code,
        "message": problem.message,
        "path": list(problem.path),
        "hint": problem.hint,
    }


def _excerpt(problem: "Problem") -> list[str]:
    """The line a problem is in, and a caret below it; nothing where that is not known."""
    if problem.file is None or problem.line is None:
        return []
    try:
        with open(problem.file, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            text = next((line for i, line in enumerate(file, 1) if i == problem.line), "")
    except OSError:
        return []
    if not text.strip():
        return []
    text = text.rstrip("\n")
    lines = [f"  {text.expandtabs(1)}"]
    if problem.column is not None:
        lines.append("  " + " " * (problem.column - 1) + "^")
    return lines
