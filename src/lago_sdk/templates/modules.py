"""Kernel modules: which others they need, and in which order they go in.

Source: modules carry a section ``.modinfo`` of ``key=value`` strings; ``depends`` names the
modules that must be there before (``modpost`` of the kernel writes it).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lago_sdk.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DEPENDS = re.compile(rb"\x00depends=([a-z0-9_,\-]*)\x00", re.IGNORECASE)


class Modules:
    """The modules of one kernel.

    Args:
        directory: ``lib/modules/RELEASE`` of an unpacked kernel package.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._paths = {_name(path.stem): path for path in directory.rglob("*.ko")}

    def list(self, names: Iterable[str]) -> tuple[Path, ...]:
        """Return the files of modules and of all they need, in the order to load them.

        Raises:
            TemplateError: The kernel has no such module.
        """
        found: dict[str, Path] = {}
        for name in names:
            self._collect(_name(name), found)
        return tuple(found.values())

    def get_depends(self, path: Path) -> tuple[Path, ...]:
        """Return the files of the modules that the module *path* needs directly."""
        match = _DEPENDS.search(path.read_bytes())
        names = match.group(1).decode().split(",") if match else []
        return tuple(self._get(_name(name)) for name in names if name)

    def render_dep(self, paths: Iterable[Path]) -> str:
        """Return the text of ``modules.dep`` for the modules *paths*."""
        lines = []
        for path in paths:
            needed = reversed(self.list([path.stem])[:-1])
            names = " ".join(str(other.relative_to(self.directory)) for other in needed)
            lines.append(f"{path.relative_to(self.directory)}: {names}".rstrip())
        return "\n".join(lines) + "\n"

    def _collect(self, name: str, found: dict[str, Path]) -> None:
        if name in found:
            return
        path = self._get(name)
        for other in self.get_depends(path):
            self._collect(_name(other.stem), found)
        found[name] = path

    def _get(self, name: str) -> Path:
        path = self._paths.get(name)
        if path is None:
            raise TemplateError(f"the kernel has no module {name!r} in {self.directory}")
        return path


def _name(text: str) -> str:
    """Return the canonical name of a module: file names may have ``-`` where it has ``_``."""
    return text.replace("-", "_")
