"""What a recipe file adds to its base: files of the user's, and packages that are unpacked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import TemplateError
from lago_sdk.templates.tree import File, Link

if TYPE_CHECKING:
    from lago_sdk.spec.recipe import RecipeSpec
    from lago_sdk.templates.tree import Tree

_LEFT_OUT = re.compile(
    r"usr/share/(bash-completion|bug|doc|doc-base|info|lintian|locale|man)/.*"
    r"|(usr/)?lib/x86_64-linux-gnu/gconv/.*"
)
"""What nobody reads in a guest of a few megabytes."""
_BUSYBOX = "/bin/busybox"


def add_files(tree: Tree, spec: RecipeSpec) -> None:
    """Put the files of a recipe into *tree*, in place of what is there.

    Raises:
        TemplateError: A file of the recipe cannot be read.
    """
    for file in spec.files:
        content = _read(file.source) if file.source else (file.content or "").encode()
        tree.add(file.path.strip("/"), File(content, int(file.mode, 8)))


def add_unpacked(tree: Tree, directory: Path) -> None:
    """Put the files of unpacked packages into *tree*.

    What the tree has already stays as it is, but for links to busybox: a program wins over
    busybox's applet of the same name.

    Args:
        tree: Where they go.
        directory: The packages, unpacked over each other.
    """
    there = dict(tree.list())
    for above, directories, names in os.walk(directory):
        links = [name for name in directories if (Path(above) / name).is_symlink()]
        for name in (*names, *links):
            path = Path(above) / name
            inside = path.relative_to(directory).as_posix()
            if _LEFT_OUT.fullmatch(inside) or there.get(inside, Link(_BUSYBOX)) != Link(_BUSYBOX):
                continue
            if path.is_symlink():
                tree.add(inside, Link(str(path.readlink())))
            elif path.is_file():
                tree.add(inside, File(path, path.stat().st_mode & 0o7777))


def _read(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TemplateError(f"cannot read {source!r}: {error.strerror}") from error
