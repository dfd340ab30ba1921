"""What build steps of disks read, as far as their options tell.

Options are virt-customize's (virt-customize(1)). Those that are not known here may read any file
of this machine, or ask servers for the newest there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lago_sdk.spec.disk import BuildStep

_PLAIN = frozenset(
    {
        "append-line", "chmod", "copy", "delete", "edit", "firstboot-command", "hostname", "link",
        "mkdir", "move", "no-network", "password", "root-password", "run-command", "scrub",
        "ssh-inject", "timezone", "touch", "truncate", "truncate-recursive", "write",
    }
)  # fmt: skip
"""Their own text tells all."""
_FILES = frozenset({"firstboot", "run", "upload"})
"""Their values name a file of this machine, which ends at a colon where there is one."""
_SECRETS = frozenset({"password", "root-password", "ssh-inject"})
_BY_FILE = "file:"
"""In the values of these: what comes next is a file."""


def find_unknown_option(step: BuildStep) -> str | None:
    """Return an option of *step* of which nobody can tell what it reads, or ``None``."""
    for name, value in step.options.items():
        reads = name in _SECRETS and any(_BY_FILE in text for text in _list_texts(value))
        if reads or name not in _PLAIN | _FILES:
            return name
    return None


def list_build_files(step: BuildStep, directory: Path) -> Iterator[Path]:
    """Return the files that *step* reads; relative ones start at *directory*."""
    for name in _FILES & step.options.keys():
        for text in _list_texts(step.options[name]):
            yield directory / text.partition(":")[0]


def _list_texts(value: object) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _list_texts(item)
    elif isinstance(value, str):
        yield value
