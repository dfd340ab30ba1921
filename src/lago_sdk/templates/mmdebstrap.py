"""Debian installed into a directory tree by mmdebstrap, for any user.

Root installs in a chroot, an ordinary user in a user namespace with the subordinate ids of
``/etc/subuid``. Source: ``mmdebstrap(1)``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError, ToolError, shorten

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 3600.0
"""How long an installation may take: mirrors can be slow."""
_HINTS = (
    (
        r"newuidmap|newgidmap|/etc/sub[ug]id|unshare",
        "install uidmap, and give the user a range in /etc/subuid and /etc/subgid",
    ),
    (r"NO_PUBKEY|not signed", "the package debian-archive-keyring has the archive's keys"),
    (r"Unable to locate package|has no installation candidate", "the suite has no such package"),
    (
        r"Temporary failure|Could not (resolve|connect)|Failed to fetch",
        "the package mirror cannot be reached",
    ),
)
_NOISE = re.compile(r"(I|W): ")


@attrs.frozen(kw_only=True)
class Hook:
    """Something done when all packages are installed."""

    command: str
    """Shell commands run on the host as (mapped) root, ``$1`` is the tree; or one of
    mmdebstrap's own commands such as ``tar-in``."""

    @classmethod
    def in_chroot(cls, command: str) -> Hook:
        """Shell commands run inside the tree."""
        # mmdebstrap gives hooks no arguments of their own, so the text has to be quoted.
        quoted = "'" + command.replace("'", "'\\''") + "'"
        return cls(command=f'chroot "$1" /bin/sh -euc {quoted}')


@attrs.frozen(kw_only=True)
class Installation:
    """What mmdebstrap shall install."""

    suite: str
    """For example ``bookworm``."""
    mirrors: tuple[str, ...] = ()
    """URLs, or whole lines of ``sources.list``; Debian's, with security fixes, when empty."""
    arch: str
    """Debian's name of the architecture."""
    packages: tuple[str, ...]
    """Beside the essential ones and apt."""
    dpkg_options: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    timestamp: int
    """The date of what is made on the way, in seconds since the epoch."""


def create_root_archive(path: Path, wanted: Installation) -> None:
    """Install *wanted* and write the tree as tar archive *path*.

    Raises:
        MissingToolError: mmdebstrap is not installed.
        TemplateError: The packages cannot be had or installed, or a hook failed.
    """
    mode = "root" if os.geteuid() == 0 else "unshare"
    argv = ["mmdebstrap", f"--mode={mode}", "--variant=minbase", "--format=tar"]
    argv += [f"--architectures={wanted.arch}", f"--include={','.join(wanted.packages)}"]
    argv += [f"--dpkgopt={option}" for option in wanted.dpkg_options]
    argv += [f"--customize-hook={hook.command}" for hook in wanted.hooks]
    environ = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(wanted.timestamp)}
    try:
        # It may read the directory it starts in, which an ordinary user's namespace cannot.
        argv += [wanted.suite, str(path), *wanted.mirrors]
        run(argv, env=environ, cwd="/", timeout=_SECONDS)
    except ToolError as error:
        message = f"mmdebstrap failed: {_explain(error.output)}"
        hint = next((hint for pattern, hint in _HINTS if re.search(pattern, error.output)), None)
        raise TemplateError(message, hint=hint) from error


def _explain(output: str) -> str:
    """Return the end of what mmdebstrap said, where the reason is, without its progress."""
    lines = [line for line in output.splitlines() if line and not _NOISE.match(line)]
    return shorten(" | ".join(lines[-6:]) or output[-400:], 800)
