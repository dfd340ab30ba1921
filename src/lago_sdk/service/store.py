"""What a prefix remembers on disk: its uuid, spec, plan and where it runs."""

from __future__ import annotations

import json
import time
import uuid as uuids
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import WorkdirError

if TYPE_CHECKING:
    from lago_sdk.plan.models import Plan
    from lago_sdk.ports import Files
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.spec.prefix import PrefixSpec

_MODE = 0o600
"""Specs and plans may hold passwords."""


@attrs.frozen(kw_only=True)
class PrefixRecord:
    """Facts of a prefix that are decided at its creation."""

    host: str
    """``private``, or the URI of the libvirtd it runs on."""
    run_dir: str
    """Where a private host keeps its sockets."""
    accel: str = "auto"
    ephemeral: bool = False
    cache: bool = False
    """Whether it comes up provisioned, from a checkpoint of the cache where one fits."""
    init_dir: str | None = None
    """Directory of the init file it was made from."""
    created: float = 0.0
    """Seconds since the epoch."""
    version: str = ""
    """Version of the library that made it."""


class PrefixStore:
    """Reads and writes the facts of one prefix."""

    def __init__(self, layout: PrefixLayout, files: Files) -> None:
        self._layout = layout
        self._files = files

    def create(self, record: PrefixRecord, spec: PrefixSpec, uuid: str | None = None) -> str:
        """Write everything that must be on disk before anything else is made.

        The record comes last before the uuid, which makes the directory a prefix: one that
        was cut off earlier holds nothing that has to be undone.
        """
        uuid = uuid or uuids.uuid4().hex
        self._files.write_atomic(self._layout.spec, spec.dumps(), mode=_MODE)
        stamped = attrs.evolve(record, created=round(time.time(), 3))
        text = json.dumps(attrs.asdict(stamped), indent=4, sort_keys=True) + "\n"
        self._files.write_atomic(self._layout.metadata, text)
        self._files.write_atomic(self._layout.uuid, uuid)
        return uuid

    def get_uuid(self) -> str:
        """Return the prefix's uuid.

        Raises:
            WorkdirError: The directory is not a prefix.
        """
        try:
            return self._layout.uuid.read_text().strip()
        except OSError as error:
            message = f"{str(self._layout.path)!r} is not a prefix: it has no uuid file"
            raise WorkdirError(message) from error

    def get_record(self) -> PrefixRecord:
        """Return what was decided at creation.

        Raises:
            WorkdirError: The record is missing or damaged.
        """
        try:
            stored = json.loads(self._layout.metadata.read_text())
            known = {field.name for field in attrs.fields(PrefixRecord)}
            return PrefixRecord(**{key: stored[key] for key in stored if key in known})
        except (OSError, ValueError, TypeError) as error:
            message = f"the record {str(self._layout.metadata)!r} of the prefix cannot be read"
            raise WorkdirError(message, hint=str(error)) from error

    def get_spec(self) -> PrefixSpec:
        """Return the spec the prefix was made from."""
        from lago_sdk.spec.prefix import PrefixSpec

        spec = PrefixSpec.load(self._layout.spec)
        return attrs.evolve(spec, init_dir=self.get_record().init_dir)

    def find_plan(self) -> Plan | None:
        """Return the plan, or ``None`` while it has not been made."""
        from lago_sdk.codec.state import loads_plan

        try:
            text = self._layout.plan.read_text()
        except FileNotFoundError:
            return None
        return loads_plan(text)

    def save_plan(self, plan: Plan) -> None:
        """Write the plan."""
        from lago_sdk.codec.state import dumps_plan

        self._files.write_atomic(self._layout.plan, dumps_plan(plan), mode=_MODE)
