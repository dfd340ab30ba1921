"""Errors as sentences and exit codes; signals as errors."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lago_sdk import LagoError

UNEXPECTED = 1
"""Exit code of a defect of ours."""
MISTAKE = 2
"""Exit code where the user or the world is at fault, and was told."""
INTERRUPTED = 128 + signal.SIGINT

_ECHO_SECONDS = 0.3
"""For how long a second signal is taken for the first one again."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def install_signal_handlers() -> None:
    """Let the first signal unwind the program, so that nothing is left half-done.

    A further one ends it at once; ``lagoctl destroy`` then removes what is left. Not the echo of
    the first: ``timeout`` and terminals signal a program and its group, and so some of them twice.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, _unwind)


def _unwind(number: int, _frame: FrameType | None) -> None:
    begin = time.monotonic()

    def insist(number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - begin > _ECHO_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for other in _SIGNALS:
        if signal.getsignal(other) is _unwind:
            signal.signal(other, insist)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def report(error: BaseException, *, is_debug: bool) -> int | None:
    """Tell the user of *error* on standard error.

    Returns:
        The exit code; ``None`` when the error says itself how the program ends.
    """
    from lago_sdk import LagoError

    leaves = _flatten(error)
    for leaf in leaves:
        if isinstance(leaf, (SystemExit, BrokenPipeError)):
            return None if leaf is error else _exit_code(leaf)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        _tell("interrupted", "")
        return INTERRUPTED
    code = MISTAKE
    for leaf in leaves:
        if isinstance(leaf, LagoError):
            _report_lago_error(leaf)
        else:
            _report_unexpected(leaf, is_debug=is_debug)
            code = UNEXPECTED
    return code


def _flatten(error: BaseException) -> list[BaseException]:
    """The errors of a group, of its groups, and so on; else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for member in error.exceptions for leaf in _flatten(member)]
    return [error]


def _exit_code(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else UNEXPECTED
    return code if isinstance(code, int) else UNEXPECTED


def _report_lago_error(error: "LagoError") -> None:
    from lago_sdk import SpecError, WaitTimeoutError

    if isinstance(error, SpecError):
        from lago_cli.problems import format_problems, summarize

        typer.echo(format_problems(error.problems, is_terminal=sys.stderr.isatty()), err=True)
        _tell("error", summarize(error.problems))
        return
    _tell("error", error.message)
    if isinstance(error, WaitTimeoutError):
        typer.echo(f"  reached: {error.stage}", err=True)
        for line in error.console:
            typer.echo(f"  console: {line}", err=True)
    if error.hint:
        _tell("hint", error.hint)


def _report_unexpected(error: BaseException, *, is_debug: bool) -> None:
    text = "".join(traceback.format_exception(error))
    summary = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    _tell("error", f"something unexpected happened: {summary}")
    if is_debug:
        typer.echo(text, err=True, nl=False)
        return
    path = _save(text)
    if path is None:
        _tell("hint", "run it again with --loglevel debug to see where")
    else:
        _tell("hint", f"the details are in {path}; please report them")


def _save(text: str) -> Path | None:
    """Write a report of an unexpected error; returns where, or ``None`` where it cannot be."""
    from lago_sdk import Config

    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    command = " ".join(sys.argv)
    path = Config().state_dir / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{command}\n\n{text}", encoding="utf-8")
    except OSError:
        return None
    return path


def _tell(kind: str, message: str) -> None:
    from lago_cli.output import paint

    color = {"error": "red", "hint": "cyan"}.get(kind, "yellow")
    label = paint(f"{kind}:" if message else kind, color, stream=sys.stderr)
    typer.echo(f"{label} {message}".rstrip(), err=True)
