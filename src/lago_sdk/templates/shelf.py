"""Putting entries into the store: complete, synced, readable by all, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import TemplateError
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates.names import check_name, split_reference
from lago_sdk.templates.record import RECORD, digest, render_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.events import Observer
    from lago_sdk.templates.record import Template
    from lago_sdk.templates.store import TemplateStore

_HINTS = {
    errno.ENOSPC: "the file system is full: free some space, or lagoctl template gc",
    errno.EDQUOT: "your quota is used up: free some space, or lagoctl template gc",
    errno.EROFS: "it is on a read-only file system: set template_store to another directory",
    errno.EACCES: "you lack the permission: set template_store to a directory of yours",
    errno.EPERM: "you lack the permission: set template_store to a directory of yours",
}


class Shelf:
    """The place of one template in a store, while its lock is held.

    Args:
        name: The template.
        store: The store.
        observer: The observer to tell: those who wait for the lock are shown progress too.
    """

    def __init__(self, name: str, *, store: TemplateStore, observer: Observer) -> None:
        self.path = store.path / name
        """Directory of its versions."""
        self.scratch = store.path / ".tmp" / name
        """A directory on the store's file system; removed when the lock is given back."""
        self.observer = observer
        """The observer to tell: those who wait for the lock are shown progress too."""
        self._store = store

    def add(
        self,
        version: str,
        image: Path,
        *,
        timestamp: float,
        size: int,
        image_format: DiskFormat = DiskFormat.QCOW2,
        metadata: Mapping[str, object] | None = None,
        image_digest: str | None = None,
        below: str | None = None,
    ) -> Template:
        """Take *image* into the store; a version that is there already is kept as it is.

        Args:
            version: Its version.
            image: The image file: moved when it is on the store's file system, else copied.
            timestamp: When it was made, in seconds since the epoch.
            size: Bytes that a guest sees.
            image_format: Its format.
            metadata: The template's facts, JSON-compatible.
            image_digest: ``sha256:<hex>`` of the file, where the caller has worked it out.
            below: ``name:version`` of the template whose image is below this one.

        Raises:
            TemplateError: *version* is unusable, the template *below* is not there, or the
                store cannot be written; nothing is left then.
        """
        entry = self.path / check_name(version)
        if not (entry / RECORD).exists():
            with writing(self._store.path):
                new = Path(tempfile.mkdtemp(dir=self.scratch))
                stored = new / f"image.{_suffix(image_format)}"
                shutil.move(image, stored)
                text = render_record(
                    stored,
                    timestamp=timestamp,
                    size=size,
                    image_format=image_format,
                    metadata=metadata or {},
                    image_digest=image_digest or digest(stored),
                    below=below,
                )
                (new / RECORD).write_text(text)
                _seal(new)
            with self._store.changing(f"add the template {entry.parent.name}:{version}"):
                if below is not None:  # it cannot be removed while it has something on it
                    self._store.get_template(*split_reference(below))
                with writing(self._store.path):
                    _publish(new, entry)
        return self._store.get_template(entry.parent.name, version)


@contextmanager
def writing(store: Path) -> Iterator[None]:
    """Translate the errors of a block that writes into the store *store*.

    Raises:
        TemplateError: The store cannot be written; the hint says why.
    """
    try:
        yield
    except OSError as error:
        hint = find_write_hint(error)
        message = f"cannot write to the template store {store}: {error.strerror or error}"
        raise TemplateError(message, hint=hint) from error


def find_write_hint(error: BaseException | None) -> str | None:
    """Return what to do about an error of writing into a store, or ``None``."""
    return _HINTS.get(error.errno or 0) if isinstance(error, OSError) else None


def _suffix(image_format: DiskFormat) -> str:
    return "qcow2" if image_format is DiskFormat.QCOW2 else "img"


def _seal(new: Path) -> None:
    """Make the files of *new* read-only, and sync them."""
    for path in (*new.iterdir(), new):
        with _descriptor(path) as descriptor:
            os.fchmod(descriptor, 0o755 if path == new else 0o444)
            os.fsync(descriptor)


def _publish(new: Path, entry: Path) -> None:
    """Rename *new* to *entry*, for all to see and for good."""
    if not entry.parent.exists():
        entry.parent.mkdir()
        let_read(entry.parent)
    if entry.exists():  # without a record: no entry that anything could use
        shutil.rmtree(entry)
    new.rename(entry)
    with _descriptor(entry.parent) as descriptor:
        os.fsync(descriptor)


def let_read(directory: Path) -> None:
    """Let everybody read a directory that we have made: QEMU may run as another user."""
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | 0o555)


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
