"""Disk images: made, changed, looked into, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lago_sdk.plan.models import Image
    from lago_sdk.spec.disk import DiskFormat


class ImageTool(Protocol):
    """Makes and inspects disk images."""

    def create_overlay(self, path: Path, backing: Image, *, size: int | None = None) -> None:
        """Make a qcow2 overlay on *backing*; *size* in bytes, that of *backing* when ``None``."""

    def create_empty(self, path: Path, *, size: int, image_format: DiskFormat) -> None:
        """Make a sparse image of *size* bytes."""

    def create_layer(
        self, source: Path, path: Path, *, image_format: DiskFormat, below: Image | None
    ) -> None:
        """Make a qcow2 image of what *source* itself holds now, without what lies below it.

        Args:
            source: An image that nothing writes to meanwhile; a paused VM may have it open.
            path: The new image.
            image_format: The format of *source*.
            below: What the new image lies on: the content of what is below *source*; its name is
                written down relative to *path* where both are in one directory.
        """

    def create_neighbour(self, path: Path, below: Image) -> None:
        """Make a qcow2 overlay that knows *below* by its place relative to *path*."""

    def copy(self, source: Path, path: Path) -> None:
        """Copy an image, keeping it sparse (by reflink where the file system can)."""

    def inspect(self, path: Path) -> Image:
        """Read format and size of an image, and which image is below it."""

    def rebase(self, path: Path, backing: Image) -> None:
        """Write down that *backing* is below *path*; the content is not looked at."""

    def resize(self, path: Path, size: int) -> None:
        """Let a guest see *size* bytes of an image; it never becomes smaller."""

    def create_snapshot(self, path: Path, tag: str) -> None:
        """Keep the content of a qcow2 image that nothing uses under *tag*, inside of it."""

    def apply_snapshot(self, path: Path, tag: str) -> None:
        """Give a qcow2 image that nothing uses the content again that is kept under *tag*."""

    def delete_snapshot(self, path: Path, tag: str) -> None:
        """Remove what is kept under *tag* from a qcow2 image that nothing uses; idempotent."""

    def list_snapshots(self, path: Path) -> Mapping[str, int]:
        """Return the tags in an image, and the bytes of the memory kept with each."""

    def import_image(self, source: Path, path: Path) -> None:
        """Make a qcow2 or raw image of one from elsewhere, which may be a VMDK.

        Raises:
            ImageError: It refers to other files of this machine, or is damaged.
        """


class ImageBuilder(Protocol):
    """Changes the content of a disk before the first start."""

    def build(
        self, disk: Path, image_format: DiskFormat, arguments: Sequence[str], *, directory: Path
    ) -> None:
        """Run over *disk*; relative paths in *arguments* start at *directory*."""


class Archives(Protocol):
    """Looks into archives of appliances."""

    def list_files(self, path: Path) -> Mapping[str, int]:
        """Files by name, in their order, with their sizes; an unsafe archive is refused."""

    def read_file(self, path: Path, name: str) -> bytes:
        """The content of a small file."""

    def extract_file(self, path: Path, name: str, target: Path) -> None:
        """Unpack one file to *target*."""


class Download(Protocol):
    """Fetches a URL."""

    def __call__(
        self, url: str, path: Path, *, progress: Callable[[int, int | None], None]
    ) -> None:
        """Fetch *url* to *path*, whole or not at all.

        Raises:
            LagoError: It cannot be had.
        """


class Templates(Protocol):
    """Where templates come from."""

    def find(self, name: str, version: str | None = None) -> Image | None:
        """The image of a template that is in the store, or ``None``."""

    def get(self, name: str, version: str | None = None) -> Image:
        """The image of a template, fetched where it is not in the store.

        Raises:
            TemplateNotFoundError: Neither store nor repositories have it.
            TemplateError: It cannot be fetched or is damaged.
        """
