"""Writing one disk of an export."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.events import report_bytes
from lago_sdk.service.exporting.describe import list_facts
from lago_sdk.service.exporting.manifest import FileRecord
from lago_sdk.service.exporting.model import HASH, METADATA, ExportedDisk, count_bytes
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk.events import Observer
    from lago_sdk.ports import Compression, ImageTool, Tell
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.exporting.choose import DiskWork
    from lago_sdk.service.parallel import Cancellation

STAGE = "export disk"


@attrs.frozen(kw_only=True)
class WrittenDisk:
    """A disk that was written, and the record of its file."""

    disk: ExportedDisk
    record: FileRecord


def write_disk(
    work: DiskWork,
    directory: Path,
    *,
    compression: Compression | None,
    threads: int,
    context: PrefixContext,
    cancellation: Cancellation,
) -> WrittenDisk:
    """Write a disk into *directory*, with its digest and its facts beside it.

    Args:
        work: The disk.
        directory: Where to.
        compression: How it is compressed, if at all.
        threads: How many threads may compress it.
        context: The prefix; locked.
        cancellation: Looked at now and then.

    Raises:
        ImageError: It cannot be read or written.
    """
    world = context.world
    plain = directory / work.name
    with context.step(STAGE, work.subject) as running:
        write_image(work, plain, context=context, cancellation=cancellation)
        path, size = plain, world.images.inspect(plain).size if _is_qcow2(work) else None
        tell = make_teller(world.observe, "check digest", work.subject, cancellation)
        if compression is None:
            digest = content = world.packer.make_digest(plain, progress=tell)
        else:
            path = plain.with_name(plain.name + compression.suffix)
            tell = make_teller(world.observe, "compress", work.subject, cancellation)
            packed = world.packer.pack(plain, path, compression, threads=threads, progress=tell)
            digest, content = packed.digest, packed.content_digest
        size = size or plain.stat().st_size
        if path != plain:
            plain.unlink()
        taken = count_bytes(path)
        running.tell(f"{path.name}, {taken / 1024**2:.1f} MiB")
    exported = ExportedDisk(
        vm=work.vm.name,
        disk=work.disk.name,
        path=path,
        digest=content,
        size=size,
        file_size=taken,
        base=None if work.base is None else work.base.reference,
    )
    _write_sidecars(work, exported, plain, context)
    return WrittenDisk(disk=exported, record=FileRecord(path.stat().st_size, digest))


def write_image(
    work: DiskWork, path: Path, *, context: PrefixContext, cancellation: Cancellation
) -> None:
    """Write the image of a disk, uncompressed, to *path*."""
    images = context.world.images
    if work.base is not None:
        _write_layer(work, path, images)
    elif work.disk.format is DiskFormat.ISO:
        images.copy(work.source, path)
    else:
        tell = make_teller(context.world.observe, STAGE, work.subject, cancellation)
        images.flatten(work.source, path, image_format=work.disk.format, progress=tell)


def _write_layer(work: DiskWork, path: Path, images: ImageTool) -> None:
    """Write what a disk has above its template as one layer, which names the template."""
    assert work.base is not None
    image = images.inspect(work.source)
    assert image.backing is not None, "something is below it"
    below = images.inspect(Path(image.backing))
    images.create_layer(work.source, path, image_format=work.disk.format, below=below)
    if below.path != work.base.image.path:
        images.move_onto(path, work.base.image)
    images.refer(path, f"./{work.base.reference}", work.base.image)


def make_teller(observe: Observer, stage: str, subject: str, cancellation: Cancellation) -> Tell:
    """Return what is told how far the work on a disk has come; it ends cancelled work."""
    report = report_bytes(observe, stage, subject)

    def tell(done: int, total: int | None) -> None:
        cancellation.check()
        report(done, total)

    return tell


def _write_sidecars(
    work: DiskWork, disk: ExportedDisk, plain: Path, context: PrefixContext
) -> None:
    """Write what a template repository wants to find beside an image."""
    facts = {
        **list_facts(work, everything=True),
        "name": plain.stem,
        "version": time.strftime("%Y%m%d.0", time.gmtime()),
        "size": disk.size,
    }
    files = context.world.files
    files.write_atomic(plain.with_name(plain.name + METADATA), json.dumps(facts, indent=2) + "\n")
    digest = disk.digest.partition(":")[2]
    files.write_atomic(plain.with_name(plain.name + HASH), f"{digest}\n")


def _is_qcow2(work: DiskWork) -> bool:
    return work.disk.format is DiskFormat.QCOW2
