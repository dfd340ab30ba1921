"""What a recipe is, and what it has made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk.events import Observer


@attrs.frozen(kw_only=True)
class Built:
    """What a recipe has made."""

    path: Path
    """The image."""
    size: int
    """Bytes that a guest sees."""
    format: DiskFormat
    metadata: Mapping[str, object]
    """The template's facts, JSON-compatible."""


class Recipe(Protocol):
    """How one template is made."""

    @property
    def name(self) -> str:
        """Name of the template it makes."""

    @property
    def version(self) -> str:
        """Changes when the recipe changes."""

    def build(self, directory: Path, observer: Observer) -> Built:
        """Make the image.

        Args:
            directory: An empty directory for the image and everything before it.
            observer: Told of each stage.

        Raises:
            MissingToolError: A program is not installed.
            TemplateError: The image cannot be made.
        """
