"""Templates that need no store, and disk images that are a line of text."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lago_sdk.errors import ImageError, TemplateNotFoundError, suggest
from lago_sdk.plan.models import Image
from lago_sdk.ports import PackedImage
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.ports import Compression, Tell

_STORE = PurePosixPath("/fake-templates")
"""Where templates claim to be; no directory."""
_LATEST = "latest"
_MARK = "fake-image"
_PACKED = b"packed by "
_GIB = 1 << 30


class FakeTemplates:
    """A `lago_sdk.ports.Templates` whose images exist by name only.

    Args:
        names: The templates there are; ``None`` has whatever is asked for.
        size: What a guest would see of each, in bytes.
        metadata: The facts of each: ``distro``, ``ssh-user``, …
    """

    def __init__(
        self,
        names: Iterable[str] | None = None,
        *,
        size: int = _GIB,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self._names = None if names is None else frozenset(names)
        self._size = size
        self._metadata = dict(metadata or {})
        self.marked: list[str] = []
        """Paths of the images that starts have marked as used, in order."""

    def mark_image(self, image: Image) -> None:
        """See `World.mark_used`."""
        self.marked.append(image.path)

    def find(self, name: str, version: str | None = None) -> Image | None:
        """See `Templates.find`."""
        if self._names is not None and name not in self._names:
            return None
        path = _STORE / name / (version or _LATEST) / "image.qcow2"
        digest = f"sha256:{hashlib.sha256(str(path).encode()).hexdigest()}"
        return Image(path=str(path), size=self._size, digest=digest, metadata=self._metadata)

    def get(self, name: str, version: str | None = None) -> Image:
        """See `Templates.get`."""
        image = self.find(name, version)
        if image is None:
            hint = suggest(name, self._names or ())
            raise TemplateNotFoundError(f"there is no template {name!r}", hint=hint)
        return image

    def identify(self, path: Path) -> str | None:
        """See `Templates.identify`."""
        if self.find_by_path(str(path)) is None:
            return None
        name, version = path.parts[-3:-1]
        return f"{name}:{version}"

    def find_by_path(self, path: str) -> Image | None:
        """Return the template whose image is at *path*, or ``None``."""
        try:
            name, version, _file = PurePosixPath(path).relative_to(_STORE).parts
        except ValueError:
            return None
        return self.find(name, version)


class FakeImages:
    """A `lago_sdk.ports.ImageTool` whose images are files that say what they would be.

    Args:
        templates: Whose images count as there.
    """

    def __init__(self, templates: FakeTemplates | None = None) -> None:
        self._templates = templates or FakeTemplates(())

    def create_overlay(self, path: Path, backing: Image, *, size: int | None = None) -> None:
        """See `ImageTool.create_overlay`.

        Raises:
            ImageError: *backing* is missing, or *size* is smaller than it.
        """
        below = self.inspect(Path(backing.path))
        if size is not None and size < below.size:
            raise ImageError(f"an overlay of {size} bytes cannot hold {below.path}")
        _write(path, DiskFormat.QCOW2, size or below.size, below.path)

    def create_empty(self, path: Path, *, size: int, image_format: DiskFormat) -> None:
        """See `ImageTool.create_empty`.

        Raises:
            ImageError: *size* makes no sense.
        """
        if size <= 0:
            raise ImageError(f"a disk of {size} bytes is no disk: {path}")
        _write(path, image_format, size, None)

    def create_layer(
        self,
        source: Path,
        path: Path,
        *,
        image_format: DiskFormat,  # noqa: ARG002 - the file tells
        below: Image | None,
    ) -> None:
        """See `ImageTool.create_layer`."""
        size = self.inspect(source).size
        _write(path, DiskFormat.QCOW2, size, below.path if below is not None else None)

    def flatten(
        self,
        source: Path,
        path: Path,
        *,
        image_format: DiskFormat,
        progress: Tell,
    ) -> None:
        """See `ImageTool.flatten`."""
        size = self.inspect(source).size
        _write(path, image_format, size, None)
        progress(size, size)

    def create_vmdk(
        self,
        source: Path,
        path: Path,
        *,
        image_format: DiskFormat,
        progress: Tell,
    ) -> None:
        """See `ImageTool.create_vmdk`; what is made is an image that `import_image` takes."""
        self.flatten(source, path, image_format=image_format, progress=progress)

    def move_onto(self, path: Path, backing: Image) -> None:
        """See `ImageTool.move_onto`."""
        self.rebase(path, backing)

    def refer(self, path: Path, name: str, backing: Image) -> None:  # noqa: ARG002
        """See `ImageTool.refer`."""
        image = self.inspect(path)
        _write(path, image.format, image.size, name)

    def create_neighbour(self, path: Path, below: Image) -> None:
        """See `ImageTool.create_neighbour`."""
        self.create_overlay(path, below)

    def copy(self, source: Path, path: Path) -> None:
        """See `ImageTool.copy`.

        Raises:
            ImageError: *source* cannot be read or *path* not written.
        """
        try:
            shutil.copyfile(source, path)
        except OSError as error:
            raise ImageError(f"cannot copy {source} to {path}: {error.strerror}") from error

    def inspect(self, path: Path) -> Image:
        """See `ImageTool.inspect`.

        Raises:
            ImageError: It is missing, or no image of ours.
        """
        template = self._templates.find_by_path(str(path))
        if template is not None:
            return template
        try:
            found = json.loads(path.read_text())[_MARK]
            return Image(
                path=str(path.absolute()),
                format=DiskFormat(found["format"]),
                size=found["size"],
                backing=found["backing"],
            )
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ImageError(f"cannot read the image {path}: {error}") from error

    def find_backing(self, head: bytes) -> str | None:
        """See `ImageTool.find_backing`.

        Raises:
            ImageError: It is no image of ours.
        """
        try:
            found: str | None = json.loads(head)[_MARK]["backing"]
        except (ValueError, TypeError, KeyError) as error:
            raise ImageError("it is no qcow2 image") from error
        return found

    def rebase(self, path: Path, backing: Image) -> None:
        """See `ImageTool.rebase`."""
        image = self.inspect(path)
        _write(path, image.format, image.size, str(Path(backing.path).absolute()))

    def resize(self, path: Path, size: int) -> None:
        """See `ImageTool.resize`.

        Raises:
            ImageError: It is larger already.
        """
        image = self.inspect(path)
        if size < image.size:
            raise ImageError(f"a disk of {size} bytes cannot hold {path}, which has {image.size}")
        _write(path, image.format, size, image.backing)

    def write_snapshot(self, path: Path, tag: str, memory: int) -> None:
        """Have the image *path* hold *tag*, with *memory* bytes of a memory."""
        image = self.inspect(path)
        tags = {**self.list_snapshots(path), tag: memory}
        _write(path, image.format, image.size, image.backing, tags)

    def create_snapshot(self, path: Path, tag: str) -> None:
        """See `ImageTool.create_snapshot`."""
        self.write_snapshot(path, tag, 0)

    def apply_snapshot(self, path: Path, tag: str) -> None:
        """See `ImageTool.apply_snapshot`.

        Raises:
            ImageError: It has none of that name.
        """
        if tag not in self.list_snapshots(path):
            raise ImageError(f"cannot revert {path}: it has no snapshot {tag!r}")

    def delete_snapshot(self, path: Path, tag: str) -> None:
        """See `ImageTool.delete_snapshot`."""
        image = self.inspect(path)
        tags = {name: size for name, size in self.list_snapshots(path).items() if name != tag}
        _write(path, image.format, image.size, image.backing, tags)

    def list_snapshots(self, path: Path) -> Mapping[str, int]:
        """See `ImageTool.list_snapshots`."""
        self.inspect(path)
        found: dict[str, int] = json.loads(path.read_text())[_MARK].get("snapshots", {})
        return found

    def import_image(self, source: Path, path: Path) -> None:
        """See `ImageTool.import_image`.

        Raises:
            ImageError: It refers to another image, or is none.
        """
        if self.inspect(source).backing is not None:
            raise ImageError(f"the image {source.name} refers to other files")
        source.replace(path)


class FakePacker:
    """A `lago_sdk.ports.ImagePacker` that writes a word before what it compresses."""

    def make_digest(self, path: Path, *, progress: Tell) -> str:
        """See `ImagePacker.make_digest`."""
        data = path.read_bytes()
        progress(len(data), len(data))
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def pack(
        self,
        source: Path,
        path: Path,
        compression: Compression,
        *,
        threads: int,  # noqa: ARG002 - it needs none
        progress: Tell,
    ) -> PackedImage:
        """See `ImagePacker.pack`."""
        path.write_bytes(_PACKED + compression.value.encode() + b"\n" + source.read_bytes())
        return PackedImage(
            content_digest=self.make_digest(source, progress=progress),
            digest=self.make_digest(path, progress=progress),
        )

    def is_packed(self, path: Path) -> bool:
        """See `ImagePacker.is_packed`."""
        return path.read_bytes().startswith(_PACKED)

    def read_head(self, path: Path, size: int) -> bytes:
        """See `ImagePacker.read_head`."""
        return self._read(path)[:size]

    def unpack(self, source: Path, path: Path, *, progress: Tell) -> None:
        """See `ImagePacker.unpack`."""
        data = self._read(source)
        path.write_bytes(data)
        progress(len(data), len(data))

    def _read(self, path: Path) -> bytes:
        data = path.read_bytes()
        return data.partition(b"\n")[2] if self.is_packed(path) else data


def _write(
    path: Path,
    image_format: DiskFormat,
    size: int,
    backing: str | None,
    snapshots: Mapping[str, int] | None = None,
) -> None:
    record: dict[str, object] = {"format": image_format.value, "size": size, "backing": backing}
    if snapshots:
        record["snapshots"] = dict(snapshots)
    try:
        path.write_text(json.dumps({_MARK: record}) + "\n")
    except OSError as error:
        raise ImageError(f"cannot make the image {path}: {error.strerror}") from error
