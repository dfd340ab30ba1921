"""The file systems of disks whose VMs are off."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from lago_sdk.errors import LagoError
    from lago_sdk.ports.extraction import Extraction

SCRATCH_PREFIX = ".lago-disk-"
"""What the names of directories begin with that are beside a disk while it is written to."""


class EntryKind(enum.Enum):
    """What an entry of a directory is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    OTHER = "device, pipe or socket"


@attrs.frozen(kw_only=True)
class OfflineEntry:
    """An entry of a directory."""

    name: str
    """Bytes that are no UTF-8 are surrogates, as ``os.fsdecode`` makes them."""
    kind: EntryKind
    mode: int
    """Permission bits, with those of setuid, setgid and sticky."""
    uid: int
    gid: int
    size: int
    """Bytes of a file's content or of a link's target; 0 for others."""


@attrs.frozen(kw_only=True)
class OfflineFile:
    """A file to write."""

    data: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@attrs.frozen(kw_only=True)
class OfflineDirectory:
    """A directory to make; one that is there gets the mode and the owner."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@attrs.frozen(kw_only=True)
class OfflineLink:
    """A symbolic link to make."""

    target: str


OfflineNode: TypeAlias = OfflineFile | OfflineDirectory | OfflineLink


class OfflineFS(Protocol):
    """The root file system of a guest that is off. Paths are absolute, as the guest has them.

    Symbolic links are followed in the guest's own tree: they never lead to files of the host.
    """

    def find(self, path: str) -> OfflineEntry | None:
        """What is at *path*, links followed; ``None`` when there is nothing."""

    def list_directory(self, path: str) -> tuple[OfflineEntry, ...]:
        """The entries of a directory by name, without ``.`` and ``..``.

        Raises:
            ImageError: There is no such directory.
        """

    def read_file(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            ImageError: There is no such file.
        """

    def extract(self, paths: Iterable[tuple[str, Path]]) -> Extraction:
        """Copy files and whole directories to the host.

        Args:
            paths: What to copy, and the names it gets here; a file that has the name is replaced,
                a directory is added to. Nothing is written beside or outside of them.

        Raises:
            LagoError: They cannot be written here.
        """

    def write_files(self, nodes: Mapping[str, OfflineNode]) -> None:
        """Write files, links and directories, in order.

        Directories above them that are not there are made, with mode 0755 and owner 0. A file or
        link that is there is replaced (a link is not followed). What was written is read back
        when the file system is closed.

        Raises:
            ImageError: It was opened to be read only, is full, or has a directory there.
        """

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a directory with all in it; nothing happens without it.

        Raises:
            ImageError: It was opened to be read only.
        """


@attrs.frozen(kw_only=True)
class RootLook:
    """What is seen of a root file system without an appliance."""

    kind: str | None
    """``ext4`` (and its forerunners), ``xfs``, ``btrfs``, ``LVM``, …; ``None``: nobody knows."""
    fs: OfflineFS | None = None
    """To be read only; ``None`` where it takes an appliance."""


@attrs.frozen(kw_only=True)
class OfflineVisit:
    """What is to be read from a disk, or changed on it."""

    path: Path
    """The image, with its backing chain."""
    image_format: DiskFormat
    root_partition: str | None = None
    """As `OfflineDisks.open` takes it."""
    apply: Callable[[OfflineFS], object]
    """Does it."""


class OfflineDisks(Protocol):
    """Opens the file systems of disks that no VM uses."""

    def open(
        self,
        path: Path,
        image_format: DiskFormat,
        *,
        read_only: bool,
        root_partition: str | None = None,
        may_boot: bool = True,
    ) -> AbstractContextManager[OfflineFS]:
        """Have the guest's root file system for the block.

        Leaving the block checks what was written, and raises where it is not there. Enter and
        leave it in the same thread.

        Args:
            path: The image, with its backing chain.
            image_format: Its format, which is never probed.
            read_only: Leave the image as it is.
            root_partition: Which partition has it, by the guest's name (``/dev/vda1``); found out
                when ``None``.
            may_boot: Whether an appliance may be booted where nothing quicker can open it, which
                takes ten seconds or more.

        Raises:
            ApplianceNeededError: No appliance may be booted, and it takes one.
            ImageError: Something uses the image, it is damaged, or no root file system is on it
                that can be opened.
            MissingToolError: A program that is needed is not installed.
        """

    def look(
        self, path: Path, image_format: DiskFormat, *, root_partition: str | None = None
    ) -> AbstractContextManager[RootLook]:
        """See what can be seen of a guest's root file system within a fraction of a second.

        What is in a journal only is not seen. Enter and leave the block in the same thread.

        Raises:
            ImageError: As `open`; or there is no FUSE here.
            MissingToolError: A program that is needed is not installed.
        """

    def change_all(self, changes: Sequence[OfflineVisit]) -> None:
        """Change several disks by one appliance, whatever their file systems are.

        They are changed one after the other. What was written is read back.

        Raises:
            ImageError: One cannot be opened or changed; those before it are.
            MissingToolError: libguestfs is not installed.
        """

    def read_all(self, reads: Sequence[OfflineVisit]) -> Mapping[Path, LagoError]:
        """Read several disks by one appliance, whatever their file systems are.

        Returns:
            What went wrong, by the image; the others were read.

        Raises:
            ImageError: The appliance does not start.
            MissingToolError: libguestfs is not installed.
        """
