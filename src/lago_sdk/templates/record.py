"""The record of an entry of the store: what is known of an image."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import TemplateError
from lago_sdk.events import Observer, Progress, ignore
from lago_sdk.plan.models import Image
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates.names import split_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = "template.json"
"""Its file, beside the image."""
_SCHEMA = 1
_CHUNK = 1 << 20
_TELL_BYTES = 64 << 20
"""Between two reports of progress."""


@attrs.frozen(kw_only=True)
class Template:
    """One version of a template in the store."""

    name: str
    version: str
    timestamp: float
    """When it was made, in seconds since the epoch; the newest version is the default."""
    image: Image
    below: str | None = None
    """``name:version`` of the template that its image is an overlay of."""

    @property
    def reference(self) -> str:
        """``name:version``, as an init file may call it."""
        return f"{self.name}:{self.version}"


def render_record(
    image: Path,
    *,
    timestamp: float,
    size: int,
    image_format: DiskFormat,
    metadata: Mapping[str, object],
    image_digest: str,
    below: str | None,
) -> str:
    """Return the text of the record of *image*; see `Template` for the values."""
    record = {
        "schema": _SCHEMA,
        "timestamp": timestamp,
        "image": image.name,
        "format": image_format.value,
        "size": size,
        "digest": image_digest,
        "metadata": dict(metadata),
        "below": below,
    }
    return json.dumps(record, indent=2) + "\n"


def find_record(path: Path) -> Template | None:
    """Return the template whose record is the file *path*, or ``None`` where there is none.

    Raises:
        TemplateError: It cannot be read.
    """
    try:
        record = json.loads(path.read_text())
        if record["schema"] != _SCHEMA:
            raise TemplateError(
                f"{path} has schema {record['schema']}, not {_SCHEMA}",
                hint="it was written by another version of lago_sdk: get the template again",
            )
        below = record.get("below")
        image = Image(
            path=str(path.with_name(Path(record["image"]).name)),
            format=DiskFormat(record["format"]),
            size=int(record["size"]),
            digest=record["digest"],
            backing=None if below is None else _find_image(path.parents[2], below),
            metadata=record["metadata"],
        )
        timestamp = float(record["timestamp"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TemplateError(
            f"the record {path} of a template cannot be read: {error}",
            hint=f"remove {path.parent} and get the template again",
        ) from error
    name, version = path.parts[-3:-1]
    return Template(name=name, version=version, timestamp=timestamp, image=image, below=below)


def _find_image(store: Path, reference: str) -> str | None:
    """Return the path of a template's image; ``None`` where the template is gone."""
    name, version = split_reference(reference)
    found = find_record(store / name / (version or "") / RECORD)
    return found.image.path if found is not None else None


def digest(path: Path, *, observer: Observer = ignore, subject: str = "") -> str:
    """Return the digest of a file as ``sha256:<hex>``.

    Args:
        path: The file.
        observer: Told how far the reading has come.
        subject: What the file is, for *observer*.

    Raises:
        OSError: It cannot be read.
    """
    found = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        done = told = 0
        while count := file.readinto(buffer):
            found.update(buffer[:count])
            done += count
            if done - told >= _TELL_BYTES:
                told = done
                observer(Progress(stage="check digest", subject=subject, done=done, total=total))
        if told:
            observer(Progress(stage="check digest", subject=subject, done=total, total=total))
    return f"sha256:{found.hexdigest()}"
