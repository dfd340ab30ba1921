"""Images that come into the store from files of the user's, and go out to files.

What goes out is what a repository of Lago's type ``file`` or ``http`` serves: the image, perhaps
compressed, and beside it ``IMAGE.hash`` (the digest of the uncompressed image) and
``IMAGE.metadata`` (its facts, a JSON object).
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import remove_tree, write_atomic
from lago_sdk.adapters.process import run
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import TemplateError
from lago_sdk.events import ignore, stage
from lago_sdk.ports import Compression
from lago_sdk.templates.names import check_name, find_layer_reference, split_reference
from lago_sdk.templates.record import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Image
    from lago_sdk.templates.record import Template
    from lago_sdk.templates.shelf import Shelf
    from lago_sdk.templates.store import TemplateStore

_METADATA = ".metadata"
_HASH = ".hash"
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}
"""What compressed files begin with, and what decompresses them."""
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
"""Why a file may have no second name: another file system, not ours, too many, unheard of."""
_VERSION_DIGITS = 12
"""Digits of the digest that are the version of an image for which none is given."""


@attrs.frozen(kw_only=True)
class ExportedTemplate:
    """The files of an exported template."""

    image: Path
    hash: Path
    metadata: Path
    digest: str
    """``sha256:<hex>`` of the uncompressed image."""


def import_template(
    path: Path,
    *,
    name: str,
    version: str | None = None,
    metadata: Mapping[str, object] | Path | None = None,
    link: bool = False,
    store: TemplateStore,
    observer: Observer = ignore,
) -> Template:
    """Take a qcow2 or raw image into the store.

    An image on a backing file is made whole; where the backing file is a template of the store,
    by its path or (as Lago exported layers) by being called ``template:version``, it stays a
    layer on it.

    Args:
        path: The image; it stays as it is.
        name: What to call the template.
        version: Its version; when ``None``, the first digits of the image's digest.
        metadata: Its facts, or a JSON file of them; when ``None``, ``<path>.metadata`` where
            there is such a file.
        link: Give the file a second name in place of copying it, where the file system can: it
            becomes read-only, and must never be changed again.
        store: Where it goes.
        observer: Told of the stages.

    Raises:
        TemplateError: *path* is no such image, its backing file is missing, the version is there
            with another image, or the store cannot be written.
        ImageError: The image is damaged, or cannot be copied.
    """
    check_name(name)
    if version is not None:
        check_name(version)
    facts = _find_metadata(path, metadata)
    source = _inspect(path)
    with store.locked(name, observer) as shelf, stage(observer, "import", name) as running:
        image = shelf.scratch / "image"
        below = _copy_in(source, image, link=link, store=store)
        found = QemuImg().inspect(image)
        image_digest = digest(image, observer=shelf.observer, subject=name)
        chosen = version or image_digest.partition(":")[2][:_VERSION_DIGITS]
        running.tell(chosen)
        _check_free(shelf, store, name, chosen, image_digest)
        return shelf.add(
            chosen,
            image,
            timestamp=time.time(),
            size=found.size,
            image_format=found.format,
            metadata=facts,
            image_digest=image_digest,
            below=below,
        )


def _find_metadata(
    path: Path, metadata: Mapping[str, object] | Path | None
) -> Mapping[str, object]:
    if metadata is None:
        beside = path.with_name(path.name + _METADATA)
        metadata = beside if beside.exists() else {}
    if not isinstance(metadata, Path):
        return metadata
    try:
        found = json.loads(metadata.read_text())
    except (OSError, ValueError) as error:
        raise TemplateError(f"the metadata {metadata} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TemplateError(
            f"the metadata {metadata} is not a JSON object", hint='write {"distro": "debian"}'
        )
    return found


def _inspect(path: Path) -> Image:
    """Look at a user's image.

    Raises:
        TemplateError: There is none, or it is compressed.
        ImageError: It is damaged, or of an unknown format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise TemplateError(f"cannot read the image {path}: {error.strerror}") from error
    for magic, tool in _COMPRESSED.items():
        if head.startswith(magic):
            raise TemplateError(
                f"{path} is compressed, and not an image", hint=f"decompress it first: {tool} -d"
            )
    found = QemuImg().inspect(path)
    if found.size == 0:
        raise TemplateError(f"the image {path} is empty")
    return found


def _copy_in(source: Image, image: Path, *, link: bool, store: TemplateStore) -> str | None:
    """Make *image* of the user's one; returns the template below it, if any."""
    path, tool = Path(source.path), QemuImg()
    if source.backing is None:
        copy = image.with_name("copy")
        if not (link and _link(path, copy)):
            tool.copy(path, copy)
        tool.import_image(copy, image)  # refuses what refers to other files in other ways
        return None
    below = _find_below(Path(source.backing), store)
    if below is None:
        if not Path(source.backing).is_file():
            raise TemplateError(
                f"the backing file {source.backing} of the image {path} is missing",
                hint="put it there, or import it first and rebase: "
                "qemu-img rebase -u -F qcow2 -b NAME:VERSION",
            )
        _flatten(path, image)
        return None
    tool.copy(path, image)
    tool.rebase(image, below.image)
    return below.reference


def _find_below(backing: Path, store: TemplateStore) -> Template | None:
    """Return the template that a backing file is, or that its name tells."""
    found = store.find_by_path(backing)
    reference = find_layer_reference(str(backing))
    if found is None and reference is not None:
        found = store.find_template(*split_reference(reference))
    return found


def _link(path: Path, target: Path) -> bool:
    """Give a file a second name; returns whether that was possible."""
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise TemplateError(f"cannot link {path}: {error.strerror}") from error
    return True


def _flatten(path: Path, target: Path) -> None:
    """Write an image and all below it as one qcow2 image."""
    argv = ["qemu-img", "convert", "-q", "-O", "qcow2", str(path.absolute()), str(target)]
    run(argv, timeout=None)


def _check_free(
    shelf: Shelf, store: TemplateStore, name: str, version: str, image_digest: str
) -> None:
    there = store.find_template(name, version)
    if there is not None and there.image.digest != image_digest:
        raise TemplateError(
            f"the store has another image as {there.reference} already, in {shelf.path}",
            hint=f"take another version, or remove it: lagoctl template rm {there.reference}",
        )


def export_template(
    store: TemplateStore,
    name: str,
    version: str | None = None,
    *,
    target: Path,
    compression: Compression | None = None,
    observer: Observer = ignore,
) -> ExportedTemplate:
    """Write a template to a file, with the files beside it that a repository needs.

    An image made on other templates is made whole.

    Args:
        store: The store that has it.
        name: The template.
        version: Its version; the newest when ``None``.
        target: The image's file, or a directory for ``<name>-<version>.<format>``.
        compression: How to compress it; told by the suffix of *target* when ``None``.
        observer: Told of the stages.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateError: It is damaged, *target* is there already or cannot be written; nothing is
            left then.
    """
    template = store.get_template(name, version)
    plain, compression = _choose_target(template, target, compression)
    final = plain if compression is None else plain.with_name(plain.name + compression.suffix)
    if final.exists():
        raise TemplateError(f"{final} is there already", hint="remove it, or take another name")
    with stage(observer, "export", template.reference) as running:
        running.tell(str(final))
        try:
            work = Path(tempfile.mkdtemp(prefix=".export.", dir=final.parent))
        except OSError as error:
            message = f"cannot write to {final.parent}: {error.strerror}"
            raise TemplateError(message) from error
        try:
            return _export(store, template, work, plain, compression, observer)
        except OSError as error:
            raise TemplateError(f"cannot write {final}: {error.strerror}") from error
        finally:
            remove_tree(work)


def _choose_target(
    template: Template, target: Path, compression: Compression | None
) -> tuple[Path, Compression | None]:
    """Return the file of the uncompressed image, and how it is to be compressed."""
    if target.is_dir():
        suffix = "qcow2" if template.below is not None else template.image.format.value
        return target / f"{template.name}-{template.version}.{suffix}", compression
    told = next((x for x in Compression if target.suffix == x.suffix), None)
    if told is None:
        return target, compression
    if compression is not None and compression is not told:
        raise TemplateError(f"{target} is no name for a file of {compression.value}")
    return target.with_suffix(""), told


def _export(
    store: TemplateStore,
    template: Template,
    work: Path,
    plain: Path,
    compression: Compression | None,
    observer: Observer,
) -> ExportedTemplate:
    image, tool = work / plain.name, QemuImg()
    store.verify(template.name, template.version, observer=observer)
    if template.below is not None:
        _flatten(Path(template.image.path), image)
    elif compression is not None:
        image.symlink_to(template.image.path)
    else:
        tool.copy(Path(template.image.path), image)
    found = template.image.digest if template.below is None else None
    found = found or digest(image, observer=observer, subject=template.reference)
    if compression is not None:
        with stage(observer, "compress", template.reference):
            run([compression.value, "-q", "-T0", "-k", "-f", str(image)], timeout=None)
        image = image.with_name(image.name + compression.suffix)
    exported = ExportedTemplate(
        image=plain.with_name(image.name),
        hash=plain.with_name(plain.name + _HASH),
        metadata=plain.with_name(plain.name + _METADATA),
        digest=found,
    )
    facts = json.dumps(dict(template.image.metadata), indent=2)
    write_atomic(exported.metadata, facts + "\n")
    write_atomic(exported.hash, found.partition(":")[2] + "\n")
    image.chmod(0o644)
    os.replace(image, exported.image)  # noqa: PTH105 - one system call, made plain
    return exported
