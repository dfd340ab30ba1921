"""Disk images: made, changed, looked into, and where they come from."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lago_sdk.plan.models import Image
    from lago_sdk.spec.disk import DiskFormat

Tell: TypeAlias = Callable[[int, int | None], None]
"""Told the bytes that are done, and those in all where they are known; what it raises ends the
work."""


class Compression(enum.Enum):
    """How an exported image is compressed."""

    XZ = "xz"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """What the file's name ends with."""
        return ".xz" if self is Compression.XZ else ".zst"


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

    def flatten(
        self, source: Path, path: Path, *, image_format: DiskFormat, progress: Tell
    ) -> None:
        """Write an image that nothing uses, with all that is below it, as one without holes filled.

        What is kept inside of it under tags is left out.

        Args:
            source: The image.
            path: The new one, of the same format.
            image_format: The format of both.
            progress: Told how far it is, in bytes that a guest sees.
        """

    def create_vmdk(
        self, source: Path, path: Path, *, image_format: DiskFormat, progress: Tell
    ) -> None:
        """Write an image and all below it as a compressed VMDK, the kind that appliances hold.

        The arguments are those of `flatten`.
        """

    def move_onto(self, path: Path, backing: Image) -> None:
        """Put the qcow2 image *path* on another image; what it shows a guest stays the same."""

    def refer(self, path: Path, name: str, backing: Image) -> None:
        """Write *name*, which need not exist, into *path* as that of *backing*, on which it is."""

    def create_neighbour(self, path: Path, below: Image) -> None:
        """Make a qcow2 overlay that knows *below* by its place relative to *path*."""

    def copy(self, source: Path, path: Path) -> None:
        """Copy an image, keeping it sparse (by reflink where the file system can)."""

    def inspect(self, path: Path) -> Image:
        """Read format and size of an image, and which image is below it."""

    def find_backing(self, head: bytes) -> str | None:
        """Return the name of the backing file that the first bytes of a qcow2 image tell, if any.

        Raises:
            ImageError: It is no such image, or has its content in another file.
        """

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


@attrs.frozen(kw_only=True)
class PackedImage:
    """A file that an image was compressed to."""

    content_digest: str
    """``sha256:<hex>`` of the image."""
    digest: str
    """``sha256:<hex>`` of the compressed file."""


class ImagePacker(Protocol):
    """Compresses and decompresses images, and makes their digests."""

    def make_digest(self, path: Path, *, progress: Tell) -> str:
        """Return the digest of a file as ``sha256:<hex>``."""

    def pack(
        self,
        source: Path,
        path: Path,
        compression: Compression,
        *,
        threads: int,
        progress: Tell,
    ) -> PackedImage:
        """Compress *source* to *path* with so many *threads*, and make both digests on the way."""

    def is_packed(self, path: Path) -> bool:
        """Whether a file is compressed (xz, zstd, gzip), as its first bytes tell."""

    def read_head(self, path: Path, size: int) -> bytes:
        """Return the first *size* bytes of an image, of what is in it where it is compressed."""

    def unpack(self, source: Path, path: Path, *, progress: Tell) -> None:
        """Decompress *source* to *path*; runs of zeros take no room.

        Raises:
            ImageError: It is damaged, or there is no room for it. Nothing is left then.
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

    def create_archive(self, path: Path, files: Mapping[str, Path], *, progress: Tell) -> None:
        """Make an archive of *files*, by their names in it, in this order."""


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

    def identify(self, path: Path) -> str | None:
        """``name:version`` of the template whose image is the file *path*, or ``None``."""

    def get(self, name: str, version: str | None = None) -> Image:
        """The image of a template, fetched where it is not in the store.

        Raises:
            TemplateNotFoundError: Neither store nor repositories have it.
            TemplateError: It cannot be fetched or is damaged.
        """
