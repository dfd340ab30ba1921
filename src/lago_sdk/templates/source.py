"""What can be fetched, whoever publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.templates.digests import Expected

if TYPE_CHECKING:
    from lago_sdk.events import Observer
    from lago_sdk.templates.locations import Locations

ORIGIN = "origin"
"""Metadata key of where a template came from: a map with ``kind``, ``url`` and ``digest``."""


@attrs.frozen(kw_only=True)
class Published:
    """One version of a template, found where it is published."""

    name: str
    version: str
    url: str
    """The image, perhaps compressed."""
    timestamp: float | None
    """When it was published, in seconds since the epoch; ``None`` where nobody says."""
    expected: Expected
    metadata: Mapping[str, object]
    """The template's facts, ``origin`` included."""


class Offer(Protocol):
    """Somebody says that they have a template."""

    @property
    def name(self) -> str:
        """The template."""

    @property
    def version(self) -> str | None:
        """Its version; ``None`` where only the publisher's server knows."""

    def look(self, locations: Locations, observer: Observer) -> Published:
        """Find out what is published now.

        Raises:
            TemplateError: It is not there, or not to be trusted.
        """
