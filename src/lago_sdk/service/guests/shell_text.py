"""Pieces of shell scripts that carry commands into guests."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def join_command(command: str | Sequence[str]) -> str:
    """Return *command* as text for a POSIX shell: a list is quoted, text is as it is."""
    return command if isinstance(command, str) else shlex.join(command)


def render_exports(env: Mapping[str, str] | None) -> str:
    """Return a line that exports *env* to what follows it; nothing without variables.

    Raises:
        LagoError: A name or a value cannot be a shell's variable.
    """
    if not env:
        return ""
    for name, value in env.items():
        if not _NAME.match(name) or "\0" in value:
            raise LagoError(f"{name!r} cannot be set as an environment variable in the guest")
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items()) + "\n"
