"""How a script of the host is run in a guest: by the interpreter that its first line names."""

from __future__ import annotations

from pathlib import PurePosixPath

_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_LAUNCHERS = frozenset({"busybox", "env"})
"""Programs that run the one their arguments name."""


def list_script_command(script: bytes) -> list[str]:
    """Return the command that runs *script* from its standard input, arguments to follow.

    Args:
        script: Its content; without a ``#!`` line it is for ``sh``.
    """
    first = script.split(b"\n", 1)[0].decode(errors="replace")
    interpreter = first[2:].split() if first.startswith("#!") else []
    interpreter = interpreter or ["sh"]
    is_shell = _find_program(interpreter) in _SHELLS
    return [*interpreter, "-s", "--"] if is_shell else [*interpreter, "-"]


def _find_program(interpreter: list[str]) -> str:
    """Return the name of the program that ``env`` or a program of many names would be."""
    name = PurePosixPath(interpreter[0]).name
    if name not in _LAUNCHERS:
        return name
    words = (word for word in interpreter[1:] if not word.startswith("-") and "=" not in word)
    return PurePosixPath(next(words, name)).name
