"""The template store: a directory of disk images that overlays are made on.

::

    STORE/NAME/VERSION/image.qcow2     the image: read-only, never changed once it is here
    STORE/NAME/VERSION/template.json   its record
    STORE/.tmp/NAME/...                entries in the making, renamed into place when complete
    STORE/.locks/NAME.lock             held by whoever makes an entry of NAME

An entry is complete or absent. What a killed process left in ``.tmp`` is removed by the next
one that takes the template's lock.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import lock, remove_tree
from lago_sdk.errors import LockedError, TemplateError, TemplateNotFoundError, suggest
from lago_sdk.events import Note, Observer, ignore
from lago_sdk.plan.models import Image
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
_RECORD = "template.json"
_SCHEMA = 1
_CHUNK = 1 << 20


@attrs.frozen(kw_only=True)
class Template:
    """One version of a template in the store."""

    name: str
    version: str
    timestamp: float
    """When it was added, in seconds since the epoch; the newest version is the default."""
    image: Image


class TemplateStore:
    """The templates of one directory; implements the port ``Templates``.

    Args:
        path: The store's directory; made when something is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def list(self, name: str | None = None) -> tuple[Template, ...]:
        """Return the templates there are, by name, of each the newest first.

        Args:
            name: Only those of this name.

        Raises:
            TemplateError: A record cannot be read.
        """
        pattern = f"{check_name(name)}/*/{_RECORD}" if name is not None else f"*/*/{_RECORD}"
        records = [path for path in self.path.glob(pattern) if _NAME.fullmatch(path.parts[-3])]
        templates = [_read(path) for path in records]
        return tuple(sorted(templates, key=lambda x: (x.name, -x.timestamp, x.version)))

    def find_template(self, name: str, version: str | None = None) -> Template | None:
        """Return the newest version of *name*, or the one asked for, or ``None``."""
        if version is not None:
            path = self._entry(name, version) / _RECORD
            return _read(path) if path.exists() else None
        return next(iter(self.list(name)), None)

    def get_template(self, name: str, version: str | None = None) -> Template:
        """Return the newest version of *name*, or the one asked for.

        Raises:
            TemplateNotFoundError: It is not in the store; the hint says how to get it.
            TemplateError: Its record cannot be read.
        """
        found = self.find_template(name, version)
        if found is None:
            raise self._not_found(name, version)
        return found

    def find(self, name: str, version: str | None = None) -> Image | None:
        """Return the image of a template, or ``None`` when it is not in the store."""
        found = self.find_template(name, version)
        return found.image if found else None

    def get(self, name: str, version: str | None = None) -> Image:
        """Return the image of a template.

        Raises:
            TemplateNotFoundError: It is not in the store; the hint says how to get it.
            TemplateError: Its record cannot be read.
        """
        return self.get_template(name, version).image

    def verify(self, name: str, version: str | None = None) -> Template:
        """Check that a stored image still is what was added.

        Raises:
            TemplateNotFoundError: It is not in the store.
            TemplateError: The file is missing, or its digest is another one.
        """
        template = self.get_template(name, version)
        path = Path(template.image.path)
        try:
            found = digest(path)
        except OSError as error:
            raise TemplateError(f"cannot read {path}: {error.strerror}") from error
        if found != template.image.digest:
            raise TemplateError(
                f"the template {name!r}, version {template.version!r}, is damaged: "
                f"{path} has {found}, not {template.image.digest}",
                hint=f"remove {path.parent} and get it again",
            )
        return template

    @contextmanager
    def locked(self, name: str, observer: Observer = ignore) -> Iterator[Shelf]:
        """Hold the lock of the template *name*; others that want it wait.

        Args:
            name: The template.
            observer: Told when somebody else has to be waited for.

        Raises:
            TemplateError: *name* is unusable.
            LagoError: The store cannot be written.
        """
        locks, scratch = self.path / ".locks", self.path / ".tmp" / check_name(name)
        try:
            locks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TemplateError(f"cannot make the store {self.path}: {error.strerror}") from error
        with _lock(locks / f"{name}.lock", f"make the template {name}", observer):
            remove_tree(scratch)
            scratch.mkdir(parents=True)
            try:
                yield Shelf(path=self.path / name, scratch=scratch)
            finally:
                remove_tree(scratch)

    def _entry(self, name: str, version: str) -> Path:
        return self.path / check_name(name) / check_name(version)

    def _not_found(self, name: str, version: str | None) -> TemplateNotFoundError:
        from lago_sdk.templates.recipes import RECIPES

        versions = [template.version for template in self.list(name)]
        if versions and version is not None:
            message = f"the template {name!r} has no version {version!r} in {self.path}"
            return TemplateNotFoundError(message, hint=suggest(version, versions))
        message = f"there is no template {name!r} in {self.path}"
        if name in RECIPES:
            return TemplateNotFoundError(message, hint=f"make it: lagoctl template build {name}")
        names = {template.name for template in self.list()} | set(RECIPES)
        return TemplateNotFoundError(message, hint=suggest(name, names))


@attrs.frozen(kw_only=True)
class Shelf:
    """The place of one template in a store, while its lock is held."""

    path: Path
    """Directory of its versions."""
    scratch: Path
    """A directory on the store's file system; removed when the lock is given back."""

    def add(
        self,
        version: str,
        image: Path,
        *,
        timestamp: float,
        size: int,
        image_format: DiskFormat = DiskFormat.QCOW2,
        metadata: Mapping[str, object] | None = None,
    ) -> Template:
        """Take *image* into the store; a version that is there already is kept as it is.

        Args:
            version: Its version.
            image: The image file: moved when it is on the store's file system, else copied.
            timestamp: When it was made, in seconds since the epoch.
            size: Bytes that a guest sees.
            image_format: Its format.
            metadata: The template's facts, JSON-compatible.

        Raises:
            TemplateError: *version* is unusable, or the store cannot be written.
        """
        entry = self.path / check_name(version)
        if not (entry / _RECORD).exists():
            try:
                new = Path(tempfile.mkdtemp(dir=self.scratch))
                stored = new / f"image.{_suffix(image_format)}"
                shutil.move(image, stored)
                record = {
                    "schema": _SCHEMA,
                    "timestamp": timestamp,
                    "image": stored.name,
                    "format": image_format.value,
                    "size": size,
                    "digest": digest(stored),
                    "metadata": dict(metadata or {}),
                }
                (new / _RECORD).write_text(json.dumps(record, indent=2) + "\n")
                _publish(new, entry)
            except OSError as error:
                message = f"cannot add to the store {self.path}: {error.strerror}"
                raise TemplateError(message) from error
        return _read(entry / _RECORD)


@contextmanager
def _lock(path: Path, purpose: str, observer: Observer) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path, timeout=0, purpose=purpose))
        except LockedError as error:
            observer(Note(message=f"waiting: {error.message}"))
            stack.enter_context(lock(path, timeout=math.inf, purpose=purpose))
        yield


def check_name(name: str) -> str:
    """Return *name*, which can be a template's name or version, and so part of a path.

    Raises:
        TemplateError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise TemplateError(
            f"{name!r} cannot be the name or version of a template",
            hint="letters, digits and . _ + ~ - are allowed; the first is a letter or digit",
        )
    return name


def digest(path: Path) -> str:
    """Return the digest of a file as ``sha256:<hex>``."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _suffix(image_format: DiskFormat) -> str:
    return "qcow2" if image_format is DiskFormat.QCOW2 else "img"


def _publish(new: Path, entry: Path) -> None:
    """Sync the files of *new*, make them read-only, and rename it to *entry*."""
    for path in (*new.iterdir(), new):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fchmod(descriptor, 0o755 if path == new else 0o444)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    entry.parent.mkdir(exist_ok=True)
    if entry.exists():  # without a record: no entry that anything could use
        shutil.rmtree(entry)
    new.rename(entry)
    parent = os.open(entry.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _read(path: Path) -> Template:
    try:
        record = json.loads(path.read_text())
        if record["schema"] != _SCHEMA:
            raise TemplateError(
                f"{path} has schema {record['schema']}, not {_SCHEMA}",
                hint="it was written by another version of lago_sdk: get the template again",
            )
        image = Image(
            path=str(path.with_name(Path(record["image"]).name)),
            format=DiskFormat(record["format"]),
            size=int(record["size"]),
            digest=record["digest"],
            metadata=record["metadata"],
        )
        timestamp = float(record["timestamp"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TemplateError(
            f"the record {path} of a template cannot be read: {error}",
            hint=f"remove {path.parent} and get the template again",
        ) from error
    name, version = path.parts[-3:-1]
    return Template(name=name, version=version, timestamp=timestamp, image=image)
