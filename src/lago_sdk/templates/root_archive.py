"""Tar archives as directory trees, and back."""

from __future__ import annotations

import shutil
import tarfile
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from lago_sdk.errors import TemplateError
from lago_sdk.templates.tree import Directory, File, Link, Tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lago_sdk.templates.tree import Entry

_CAPABILITY = "SCHILY.xattr.security.capability"
"""Where GNU tar keeps the attribute; the name is star's."""


def read_root_archive(path: Path, directory: Path, *, skip: Callable[[str, bool], bool]) -> Tree:
    """Return what the tar archive *path* holds; times and device nodes are left behind.

    Args:
        path: The archive.
        directory: An empty directory for the contents of its files, which lie there under their
            paths, without owners, modes and links.
        skip: Tells of a path without leading ``/``, and of whether it is a directory, whether to
            pass over it.

    Raises:
        TemplateError: It is no archive, or names a path outside of itself.
    """
    tree = Tree()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = _check_path(member.name)
                if name and not skip(name, member.isdir()):
                    entry = _read_member(archive, member, directory / name)
                    if entry is not None:
                        tree.add(name, entry)
    except tarfile.TarError as error:
        raise TemplateError(f"{path.name} is not a sound tar archive: {error}") from error
    return tree


def write_root_archive(path: Path, tree: Tree) -> None:
    """Write files and links of *tree* as a tar archive; the same tree gives the same bytes.

    Directories are left out, so that whoever unpacks it keeps those that are there.
    """
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, entry in tree.list():
            member = tarfile.TarInfo(name)
            match entry:
                case File():
                    content = entry.read()
                    member.size, member.mode = len(content), entry.mode
                    archive.addfile(member, BytesIO(content))
                case Link():
                    member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.target, 0o777
                    archive.addfile(member)
                case Directory():
                    continue


def _check_path(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise TemplateError(f"the archive names a path outside of itself: {name}")
    return "" if str(path) == "." else str(path)


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> Entry | None:
    if member.isdir():
        return Directory(member.mode, member.uid, member.gid)
    if member.issym():
        return Link(member.linkname)
    if not (member.isreg() or member.islnk()):
        return None
    # A hard link becomes a copy: its content is that of the member before it.
    target.parent.mkdir(parents=True, exist_ok=True)
    source = cast("IO[bytes]", archive.extractfile(member))
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    value = member.pax_headers.get(_CAPABILITY)
    capability = None if value is None else value.encode("utf-8", "surrogateescape")
    return File(target, member.mode, member.uid, member.gid, capability)
