"""``export.json``: what belongs to an export, so that what is missing or changed is seen.

It is written last. A directory without it is none of ours, or is not whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.errors import ExportError
from lago_sdk.service.exporting.model import INIT_FILE

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_MAX_BYTES = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@attrs.frozen
class FileRecord:
    """A file of an export as it lies there."""

    size: int
    """Bytes."""
    digest: str
    """``sha256:<hex>``."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What belongs to an export."""

    made_by: str
    """Version of the library that wrote it."""
    created: float
    """Seconds since the epoch."""
    files: Mapping[str, FileRecord]
    """All files by name, the init file included and this one not."""
    templates: Mapping[str, str] = attrs.field(factory=dict)
    """Digests of the images of the templates that layers lie on, by ``name:version``."""


def render_manifest(manifest: Manifest) -> str:
    """Return the text of ``export.json``."""
    record = {"schema": _SCHEMA, **attrs.asdict(manifest)}
    return json.dumps(record, indent=2) + "\n"


def load_manifest(path: Path) -> Manifest:
    """Read an ``export.json``.

    Raises:
        ExportError: There is none, it is damaged, or it names what no export has.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise ExportError(
                f"{str(path.parent)!r} is no export: it has no {path.name}",
                hint=f"an export of Lago is taken in by lagoctl init {path.parent / INIT_FILE}",
            )
        if path.stat().st_size > _MAX_BYTES:
            raise ExportError(f"{str(path)!r} is larger than any export's")
        return _parse(json.loads(path.read_text()), str(path))
    except OSError as error:
        raise ExportError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{str(path)!r} is damaged: {error}") from error


def _parse(record: Any, source: str) -> Manifest:
    try:
        if record["schema"] != _SCHEMA:
            raise ExportError(
                f"{source!r} has schema {record['schema']!r}, not {_SCHEMA}",
                hint="it was written by another version of lago_sdk",
            )
        manifest = Manifest(
            made_by=str(record["made_by"]),
            created=float(record["created"]),
            files={
                str(name): FileRecord(int(file["size"]), str(file["digest"]))
                for name, file in record["files"].items()
            },
            templates={str(name): str(found) for name, found in record["templates"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ExportError(f"{source!r} is damaged: {error!r}") from error
    for name in manifest.files:
        if not _NAME.fullmatch(name):
            raise ExportError(
                f"{source!r} names the file {name!r}, which is not one of its own directory",
                hint="do not trust who made it",
            )
    digests = [*(file.digest for file in manifest.files.values()), *manifest.templates.values()]
    odd = next((found for found in digests if not _DIGEST.fullmatch(found)), None)
    if odd is not None:
        raise ExportError(f"{source!r} is damaged: {odd!r} is no SHA-256 digest")
    if INIT_FILE not in manifest.files:
        raise ExportError(f"{source!r} is damaged: it names no {INIT_FILE}")
    return manifest
