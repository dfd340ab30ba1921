"""Disk images through ``qemu-img``; each call costs about ten milliseconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lago_sdk.adapters.conversion import Conversions
from lago_sdk.adapters.process import run
from lago_sdk.adapters.qcow2 import find_backing
from lago_sdk.adapters.qemu_info import qemu_format, read_info, translate
from lago_sdk.errors import ImageError, ToolError
from lago_sdk.plan.models import Image
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Mapping


_FORMATS = {"qcow2": DiskFormat.QCOW2, "raw": DiskFormat.RAW}
_QCOW2 = b"QFI\xfb"
_VMDK = b"KDMV"
_VMDK_TEXT = b"# Disk DescriptorFile"
"""What the formats of images begin with."""


class QemuImg(Conversions):
    """Makes and inspects qcow2 and raw images.

    Images are written where they are asked for, so what is there after a crash may be half of
    one: who minds gives a temporary name and renames. Nothing is left of a refused one.
    """

    def create_overlay(self, path: Path, backing: Image, *, size: int | None = None) -> None:
        """Make a qcow2 overlay on *backing*.

        Reference counts are lazy, which spares metadata writes while the guest runs.

        Args:
            path: The new image; replaced where it exists.
            backing: The image below; its format is written down, never probed.
            size: Bytes that the guest sees; those of *backing* when ``None``.

        Raises:
            ImageError: *backing* is missing or damaged, *size* is smaller than it, or *path*
                cannot be written.
        """
        if size is not None and size < backing.size:
            raise ImageError(
                f"an overlay of {size} bytes cannot hold {backing.path}, which has {backing.size}",
                hint="a disk can be made larger than its template, not smaller",
            )
        base = ["-F", qemu_format(backing.format), "-b", str(Path(backing.path).absolute())]
        self._create(path, ["-f", "qcow2", "-o", "lazy_refcounts=on", *base], size)

    def create_empty(self, path: Path, *, size: int, image_format: DiskFormat) -> None:
        """Make a sparse image without content; replaces the one that is there.

        Args:
            path: The new image.
            size: Bytes that the guest sees; more than 0.
            image_format: Its format.

        Raises:
            ImageError: *size* makes no sense, or *path* cannot be written.
        """
        if size <= 0:
            raise ImageError(f"a disk of {size} bytes is no disk: {path}")
        self._create(path, ["-f", qemu_format(image_format)], size)

    def create_layer(
        self, source: Path, path: Path, *, image_format: DiskFormat, below: Image | None
    ) -> None:
        """Make a qcow2 image of what *source* itself holds; what is inside of it is left out.

        Raises:
            ImageError: *source* cannot be read or *path* not written.
        """
        base: list[str] = []
        if below is not None:
            place = Path(below.path)
            name = place.name if place.parent == path.parent else str(place.absolute())
            base = ["-F", qemu_format(below.format), "-B", name]
        options = ["-q", "-U", "-f", qemu_format(image_format), "-O", "qcow2", *base]
        try:
            self._change(
                f"make a layer of {source}",
                ["convert", *options, str(source.absolute()), str(path.absolute())],
            )
        except ImageError:
            path.unlink(missing_ok=True)
            raise

    def move_onto(self, path: Path, backing: Image) -> None:
        """Put *path* on another image: what that one has otherwise is copied into *path*.

        Raises:
            ImageError: *path* is no qcow2 image, or cannot be written.
        """
        base = str(Path(backing.path).absolute())
        options = ["-q", "-f", "qcow2", "-F", qemu_format(backing.format), "-b", base]
        self._change(f"rebase {path}", ["rebase", *options, str(path.absolute())])

    def refer(self, path: Path, name: str, backing: Image) -> None:
        """Write *name* into *path* as that of the image below it; nothing is looked at.

        Raises:
            ImageError: *path* is no qcow2 image, or cannot be written.
        """
        options = ["-q", "-u", "-f", "qcow2", "-F", qemu_format(backing.format), "-b", name]
        self._change(f"rebase {path}", ["rebase", *options, str(path.absolute())])

    def create_neighbour(self, path: Path, below: Image) -> None:
        """Make a qcow2 overlay that finds *below* wherever both are moved together.

        Raises:
            ImageError: *below* is missing or damaged, or *path* cannot be written.
        """
        name = os.path.relpath(below.path, path.parent)
        base = ["-F", qemu_format(below.format), "-b", name]
        self._create(path, ["-f", "qcow2", "-o", "lazy_refcounts=on", *base], None)

    def copy(self, source: Path, path: Path) -> None:
        """Copy an image, keeping its holes, and sharing its blocks where the file system can.

        Raises:
            ImageError: *source* cannot be read or *path* not written.
        """
        argv = ["cp", "--reflink=auto", "--sparse=auto", "--", str(source), str(path)]
        try:
            run(argv, timeout=None)
        except ToolError as error:
            path.unlink(missing_ok=True)
            raise translate(f"cannot copy {source} to {path}", error) from error

    def inspect(self, path: Path) -> Image:
        """Read format and size of an image, also of one that a running VM uses.

        Raises:
            ImageError: It is missing, damaged, or neither qcow2 nor raw.
        """
        info: Mapping[str, Any] = read_info(path)
        return _image(info, path)

    def rebase(self, path: Path, backing: Image) -> None:
        """Write down that *backing* is below the qcow2 image *path*; no content is copied.

        Raises:
            ImageError: *path* is no qcow2 image, or cannot be written.
        """
        self.refer(path, str(Path(backing.path).absolute()), backing)

    def resize(self, path: Path, size: int) -> None:
        """Let a guest see *size* bytes of the qcow2 image *path*.

        Raises:
            ImageError: It is larger already, or cannot be written.
        """
        found = self.inspect(path).size
        if size < found:
            raise ImageError(
                f"a disk of {size} bytes cannot hold {path}, which has {found}",
                hint="a disk can be made larger than its image, not smaller",
            )
        self._change(
            f"resize {path}", ["resize", "-q", "-f", "qcow2", str(path.absolute()), str(size)]
        )

    def create_snapshot(self, path: Path, tag: str) -> None:
        """Keep the content of the qcow2 image *path* under *tag*; one of that name is replaced.

        Raises:
            ImageError: It is in use, no qcow2 image, or cannot be written.
        """
        self.delete_snapshot(path, tag)
        self._change(f"take a snapshot of {path}", ["snapshot", "-c", tag, str(path.absolute())])

    def apply_snapshot(self, path: Path, tag: str) -> None:
        """Give the qcow2 image *path* the content that is kept under *tag*.

        Raises:
            ImageError: It has none of that name, is in use, or cannot be written.
        """
        self._change(f"revert {path}", ["snapshot", "-a", tag, str(path.absolute())])

    def delete_snapshot(self, path: Path, tag: str) -> None:
        """Remove *tag* from the qcow2 image *path*; idempotent.

        Raises:
            ImageError: It is in use, missing, or cannot be written.
        """
        if tag in self.list_snapshots(path):
            argv = ["snapshot", "-d", tag, str(path.absolute())]
            self._change(f"delete a snapshot of {path}", argv)

    def list_snapshots(self, path: Path) -> Mapping[str, int]:
        """Return the tags in the image *path*, and the bytes of the memory kept with each.

        Raises:
            ImageError: It is missing or damaged.
        """
        info: Mapping[str, Any] = read_info(path)
        return {item["name"]: item["vm-state-size"] for item in info.get("snapshots", [])}

    def import_image(self, source: Path, path: Path) -> None:
        """Make a qcow2 or raw image *path* of one that a stranger made; *source* goes away.

        The format is told by the first bytes. Images that refer to other files are refused, as
        QEMU would open whatever they name.

        Raises:
            ImageError: It refers to other files, is damaged, or cannot be converted.
        """
        with source.open("rb") as file:
            head = file.read(len(_VMDK_TEXT))
        if head.startswith(_VMDK_TEXT):
            raise ImageError(f"{source.name} is a VMDK that is only a list of other files")
        vmdk, qcow2 = head.startswith(_VMDK), head.startswith(_QCOW2)
        if vmdk or qcow2:
            self._check_alone(source, "vmdk" if vmdk else "qcow2")
        if vmdk:
            argv = ["convert", "-q", "-f", "vmdk", "-O", "qcow2", str(source), str(path)]
            try:
                self._change(f"convert {source}", argv)
            except ImageError:
                path.unlink(missing_ok=True)
                raise
            source.unlink()
        else:
            source.replace(path)

    def find_backing_name(self, path: Path) -> str | None:
        """Return what a stranger's qcow2 image calls the file below it; nothing there is opened.

        Raises:
            ImageError: It is damaged.
        """
        with path.open("rb") as file:
            if file.read(len(_QCOW2)) != _QCOW2:
                return None
        name: str | None = read_info(path, ["-f", "qcow2"]).get("backing-filename")
        return name

    def import_layer(self, source: Path, path: Path, *, below: Image) -> None:
        """Make an image *path* on *below* of the qcow2 layer *source*, which goes away.

        Whatever *source* says is below it is forgotten.

        Raises:
            ImageError: It refers to further files, or is damaged.
        """
        self._check_alone(source, "qcow2", is_layer=True)
        source.replace(path)
        self.rebase(path, below)

    def _check_alone(self, path: Path, kind: str, *, is_layer: bool = False) -> None:
        info = read_info(path, ["-f", kind])
        data = info.get("format-specific", {}).get("data", {})
        extents = {str(extent.get("filename")) for extent in data.get("extents", [])}
        backing = None if is_layer else info.get("backing-filename")
        if backing or "data-file" in data or extents - {str(path.absolute())}:
            raise ImageError(f"the image {path.name} refers to other files, which is not allowed")

    def _change(self, action: str, arguments: list[str]) -> None:
        try:
            run(["qemu-img", *arguments], timeout=None)
        except ToolError as error:
            raise translate(f"cannot {action}", error) from error

    def find_backing(self, head: bytes) -> str | None:
        """Return the name of the backing file that a qcow2 image's first bytes tell, if any.

        Raises:
            ImageError: It is no such image, or its content is in another file.
        """
        return find_backing(head)

    def inspect_chain(self, path: Path) -> tuple[Image, ...]:
        """Read an image and all below it, the image itself first.

        Raises:
            ImageError: One of them is missing, damaged, or neither qcow2 nor raw.
        """
        chain: list[Mapping[str, Any]] = read_info(path, ["--backing-chain"])
        return tuple(_image(info, Path(info["filename"])) for info in chain)

    def _create(self, path: Path, options: list[str], size: int | None) -> None:
        argv = ["qemu-img", "create", "-q", *options, str(path.absolute())]
        try:
            run(argv if size is None else [*argv, str(size)])
        except ToolError as error:
            path.unlink(missing_ok=True)
            raise translate(f"cannot make the image {path}", error) from error


def _image(info: Mapping[str, Any], path: Path) -> Image:
    image_format = _FORMATS.get(info["format"])
    if image_format is None:
        raise ImageError(
            f"{path} is a {info['format']} image, not qcow2 or raw",
            hint=f"convert it: qemu-img convert -O qcow2 {path} NEW.qcow2",
        )
    if info.get("format-specific", {}).get("data", {}).get("corrupt"):
        raise ImageError(f"the image {path} is marked as corrupt", hint="see qemu-img check")
    return Image(
        path=str(path.absolute()),
        format=image_format,
        size=info["virtual-size"],
        backing=info.get("full-backing-filename") or info.get("backing-filename"),
    )
