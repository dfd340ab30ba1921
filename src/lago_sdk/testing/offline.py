"""Disks of VMs that are off, without an image: what is on them is said beforehand."""

from __future__ import annotations

import posixpath
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import ApplianceNeededError, ImageError, LagoError
from lago_sdk.ports import (
    EntryKind,
    Extraction,
    OfflineDirectory,
    OfflineEntry,
    OfflineFile,
    OfflineLink,
    RootLook,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lago_sdk.ports import OfflineNode, OfflineVisit
    from lago_sdk.spec.disk import DiskFormat

_EXT = "ext4"


class FakeDisks:
    """A `lago_sdk.ports.OfflineDisks` whose file systems are in memory, by the image's file name.

    Attributes:
        opened: What was opened: the image's path, and whether it was to be read only.
        booted: What appliances were booted for: the paths of their images, each time.
        kinds: What an image's root file system is, by the image's file name: ``ext4`` where it
            has anything on it and nothing is said, ``None`` where it has not.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[Path, bool]] = []
        self.booted: list[tuple[Path, ...]] = []
        self.kinds: dict[str, str | None] = {}
        self._contents: dict[str, dict[str, OfflineNode]] = {}

    def __getitem__(self, image: str) -> dict[str, OfflineNode]:
        """Return what is on the disk whose image is called *image*, by path."""
        return self._contents.setdefault(image, {})

    @contextmanager
    def open(
        self,
        path: Path,
        image_format: DiskFormat,  # noqa: ARG002 - every image is of our own format
        *,
        read_only: bool,
        root_partition: str | None = None,  # noqa: ARG002 - and has no partitions
        may_boot: bool = True,
    ) -> Iterator[FakeOfflineFS]:
        """See `OfflineDisks.open`.

        Raises:
            ApplianceNeededError: None may be booted.
        """
        kind = self._find_kind(path)
        if not may_boot and kind != _EXT:
            raise ApplianceNeededError(
                f"only ext4 is written to without an appliance, and the root is on {kind}"
            )
        self.opened.append((path, read_only))
        yield FakeOfflineFS(self[path.name], read_only=read_only)

    @contextmanager
    def look(
        self,
        path: Path,
        image_format: DiskFormat,  # noqa: ARG002 - as above
        *,
        root_partition: str | None = None,  # noqa: ARG002
    ) -> Iterator[RootLook]:
        """See `OfflineDisks.look`."""
        kind = self._find_kind(path)
        fs = FakeOfflineFS(self[path.name], read_only=True) if kind == _EXT else None
        yield RootLook(kind=kind, fs=fs)

    def change_all(self, changes: Sequence[OfflineVisit]) -> None:
        """See `OfflineDisks.change_all`."""
        self.booted.append(tuple(change.path for change in changes))
        for change in changes:
            change.apply(FakeOfflineFS(self[change.path.name], read_only=False))

    def read_all(self, reads: Sequence[OfflineVisit]) -> Mapping[Path, LagoError]:
        """See `OfflineDisks.read_all`."""
        self.booted.append(tuple(read.path for read in reads))
        errors: dict[Path, LagoError] = {}
        for read in reads:
            try:
                read.apply(FakeOfflineFS(self[read.path.name], read_only=True))
            except LagoError as error:
                errors[read.path] = error
        return errors

    def _find_kind(self, path: Path) -> str | None:
        return self.kinds.get(path.name, _EXT if self._contents.get(path.name) else None)


class FakeOfflineFS:
    """A `lago_sdk.ports.OfflineFS` in memory; links are not followed.

    Args:
        nodes: What is in it, by path.
        read_only: Whether changes are refused.
    """

    def __init__(self, nodes: dict[str, OfflineNode], *, read_only: bool) -> None:
        self._nodes = nodes
        self._read_only = read_only

    def find(self, path: str) -> OfflineEntry | None:
        """See `OfflineFS.find`."""
        path = posixpath.normpath(path)
        node = self._nodes.get(path)
        if node is None:
            is_above = path == "/" or any(other.startswith(f"{path}/") for other in self._nodes)
            node = OfflineDirectory() if is_above else None
        return None if node is None else _entry(posixpath.basename(path), node)

    def list_directory(self, path: str) -> tuple[OfflineEntry, ...]:
        """See `OfflineFS.list_directory`.

        Raises:
            ImageError: There is no such directory.
        """
        found = self.find(path)
        if found is None or found.kind is not EntryKind.DIRECTORY:
            raise ImageError(f"the disk has no directory {path!r}")
        above = posixpath.normpath(path).rstrip("/") + "/"
        below = (other[len(above) :] for other in self._nodes if other.startswith(above))
        names = sorted({name.partition("/")[0] for name in below} - {""})
        entries = (self.find(above + name) for name in names)
        return tuple(entry for entry in entries if entry is not None)

    def read_file(self, path: str) -> bytes:
        """See `OfflineFS.read_file`.

        Raises:
            ImageError: There is no such file.
        """
        node = self._nodes.get(posixpath.normpath(path))
        if not isinstance(node, OfflineFile):
            raise ImageError(f"the disk has no file {path!r}")
        return node.data

    def extract(self, paths: Iterable[tuple[str, Path]]) -> Extraction:
        """See `OfflineFS.extract`; copies files, and the files below directories."""
        nodes = self._nodes.items()
        files = {path: node.data for path, node in nodes if isinstance(node, OfflineFile)}
        return extract_fake(files, paths)

    def write_files(self, nodes: Mapping[str, OfflineNode]) -> None:
        """See `OfflineFS.write_files`.

        Raises:
            ImageError: It was opened to be read only.
        """
        self._check_writable()
        self._nodes.update({posixpath.normpath(path): node for path, node in nodes.items()})

    def remove(self, path: str) -> None:
        """See `OfflineFS.remove`.

        Raises:
            ImageError: It was opened to be read only.
        """
        self._check_writable()
        path = posixpath.normpath(path)
        for other in tuple(self._nodes):
            if other == path or other.startswith(f"{path}/"):
                del self._nodes[other]

    def _check_writable(self) -> None:
        if self._read_only:
            raise ImageError("the disk was opened to be read only")


def extract_fake(files: Mapping[str, bytes], paths: Iterable[tuple[str, Path]]) -> Extraction:
    """Copy those of *files* that are at *paths*, or below them, to the host."""
    collected: list[str] = []
    missing: list[str] = []
    for path, place in paths:
        above = path.rstrip("/") + "/"
        found = {name: data for name, data in files.items() if f"{name}/".startswith(above)}
        for name, data in found.items():
            target = place / name[len(above) :] if name != path else place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (collected if found else missing).append(path)
    return Extraction(collected=tuple(collected), missing=tuple(missing))


def _entry(name: str, node: OfflineNode) -> OfflineEntry:
    if isinstance(node, OfflineLink):
        size = len(node.target.encode())
        return OfflineEntry(name=name, kind=EntryKind.LINK, mode=0o777, uid=0, gid=0, size=size)
    is_file = isinstance(node, OfflineFile)
    return OfflineEntry(
        name=name,
        kind=EntryKind.FILE if is_file else EntryKind.DIRECTORY,
        mode=node.mode,
        uid=node.uid,
        gid=node.gid,
        size=len(node.data) if isinstance(node, OfflineFile) else 0,
    )
