"""Which prefixes use which templates, so that no image is removed from under an overlay.

``STORE/.users/NAME/VERSION.json`` is, as in Lago's first versions, a registry of the prefixes
that have an overlay on that version, with the time it was last taken into use::

    {"schema": 1, "last_used": 1700000000.0,
     "users": [{"uuid_path": "/lab/default/uuid", "uuid": "0123…", "since": 1700000000.0}]}

A prefix whose uuid file is missing or has another content uses nothing any more. Marking takes
the store's lock, and so does removing, which looks at the registry under it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import write_atomic
from lago_sdk.adapters.holders import is_gone
from lago_sdk.errors import LagoError, TemplateError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.templates.shelf import writing

if TYPE_CHECKING:
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Image
    from lago_sdk.ports import Templates
    from lago_sdk.templates.record import Template
    from lago_sdk.templates.store import TemplateStore

_SCHEMA = 1
_FRESH_SECONDS = 3600.0
"""A prefix that was marked no longer ago than that is not marked again by a start."""
_ATTEMPTS = 3
"""How often a template may be removed between being found and being marked."""


@attrs.frozen(kw_only=True)
class TemplateUse:
    """One prefix that uses a template."""

    uuid_path: Path
    """The prefix's uuid file."""
    uuid: str
    since: float
    """When it was marked, in seconds since the epoch."""

    @property
    def prefix(self) -> Path:
        """The directory of the prefix."""
        return self.uuid_path.parent


@attrs.frozen(kw_only=True)
class Usage:
    """What the registry says of one template."""

    last_used: float | None = None
    """When a prefix last took it into use, in seconds since the epoch; ``None``: never."""
    users: tuple[TemplateUse, ...] = ()
    """Prefixes that are there still."""


def get_usage(store: TemplateStore, template: Template) -> Usage:
    """Return who uses *template*.

    Raises:
        TemplateError: The registry cannot be read; somebody may use it.
    """
    path = _registry_path(store, template)
    try:
        record = json.loads(path.read_text())
        if record["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {record['schema']}, not {_SCHEMA}")
        uses = [
            TemplateUse(
                uuid_path=Path(user["uuid_path"]),
                uuid=str(user["uuid"]),
                since=float(user["since"]),
            )
            for user in record["users"]
        ]
        last_used = float(record["last_used"])
    except FileNotFoundError:
        return Usage()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TemplateError(
            f"the registry {path} of the users of a template cannot be read: {error}",
            hint="remove it if no prefix uses the template",
        ) from error
    users = tuple(use for use in uses if not is_gone(use.uuid_path, use.uuid))
    return Usage(last_used=last_used, users=users)


def mark_used(store: TemplateStore, template: Template, *, uuid_path: Path, uuid: str) -> None:
    """Note that a prefix uses *template* and all layers below it.

    Args:
        store: The store that has it.
        template: The template.
        uuid_path: The prefix's uuid file; it exists.
        uuid: What is in it.

    Raises:
        TemplateNotFoundError: It, or a layer, was removed before it could be marked.
        TemplateError: The store cannot be written.
    """
    with store.changing(f"mark {template.reference} as used"):
        store.get_template(template.name, template.version)
        for layer in store.list_layers(template):
            _mark(store, layer, uuid_path, uuid)


def forget_usage(store: TemplateStore, template: Template) -> None:
    """Remove the registry of a template that is no more; the caller holds the store's lock."""
    path = _registry_path(store, template)
    with writing(store.path):
        path.unlink(missing_ok=True)


def _mark(store: TemplateStore, template: Template, uuid_path: Path, uuid: str) -> None:
    now = time.time()
    others = (use for use in get_usage(store, template).users if use.uuid != uuid)
    users = (*others, TemplateUse(uuid_path=uuid_path, uuid=uuid, since=now))
    record = {
        "schema": _SCHEMA,
        "last_used": now,
        "users": [
            {"uuid_path": str(use.uuid_path), "uuid": use.uuid, "since": use.since} for use in users
        ],
    }
    path = _registry_path(store, template)
    with writing(store.path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_atomic(path, json.dumps(record, indent=2) + "\n")
    except LagoError as error:
        raise TemplateError(error.message, hint=error.hint) from error


def _registry_path(store: TemplateStore, template: Template) -> Path:
    return store.path / ".users" / template.name / f"{template.version}.json"


class MarkedTemplates:
    """Templates of one prefix: what it gets is marked as used; implements the port ``Templates``.

    Args:
        source: Where templates come from.
        store: The store that they are in then.
        uuid_path: The prefix's uuid file.
        uuid: What is in it.
        observer: Told where the store cannot be written, so that nothing can be marked.
    """

    def __init__(
        self,
        source: Templates,
        store: TemplateStore,
        *,
        uuid_path: Path,
        uuid: str,
        observer: Observer,
    ) -> None:
        self._source = source
        self._store = store
        self._uuid_path = uuid_path
        self._uuid = uuid
        self._observer = observer

    def find(self, name: str, version: str | None = None) -> Image | None:
        """Return the image of a template that is in the store, or ``None``; marks nothing."""
        return self._source.find(name, version)

    def identify(self, path: Path) -> str | None:
        """Return ``name:version`` of the template whose image is the file *path*, or ``None``."""
        return self._source.identify(path)

    def get(self, name: str, version: str | None = None) -> Image:
        """Return the image of a template, fetched where it is not in the store, and mark it.

        Raises:
            TemplateNotFoundError: Neither store nor repositories have it.
            TemplateError: It cannot be fetched or is damaged.
        """
        for _ in range(_ATTEMPTS):
            image = self._source.get(name, version)
            path = Path(image.path)
            if not path.is_relative_to(self._store.path):
                return image
            template = self._store.find_by_path(path)
            if template is not None and self._mark(template):
                return image
        raise TemplateNotFoundError(
            f"the template {name!r} was removed from {self._store.path} while it was being used",
            hint="try again",
        )

    def mark_image(self, image: Image) -> None:
        """Mark the template of *image* again, where it is one: the prefix may have been moved."""
        template = self._store.find_by_path(Path(image.path))
        if template is not None and not self._is_fresh(template):
            self._mark(template)

    def _is_fresh(self, template: Template) -> bool:
        oldest = time.time() - _FRESH_SECONDS
        return any(
            use.uuid_path == self._uuid_path and use.since > oldest
            for use in get_usage(self._store, template).users
        )

    def _mark(self, template: Template) -> bool:
        """Mark *template*; returns whether it is there still."""
        try:
            mark_used(self._store, template, uuid_path=self._uuid_path, uuid=self._uuid)
        except TemplateNotFoundError:
            return False
        except LagoError as error:
            message = (
                f"{template.reference} cannot be marked as used, so its store's owner may remove "
                f"it from under the prefix: {error.message}"
            )
            self._observer(Note(message=message, warning=True))
        return True
