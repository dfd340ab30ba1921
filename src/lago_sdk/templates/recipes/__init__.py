"""Recipes: how templates are made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.errors import TemplateNotFoundError, suggest
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


RECIPES = ("tiny",)
"""Names of the recipes there are."""


def get_recipe(name: str) -> Recipe:
    """Return the recipe of the template *name*.

    Raises:
        TemplateNotFoundError: There is none; the hint names those there are.
    """
    if name == "tiny":
        from lago_sdk.templates.recipes.tiny import TinyRecipe

        return TinyRecipe()
    hint = suggest(name, RECIPES)
    raise TemplateNotFoundError(f"there is no recipe for a template {name!r}", hint=hint)
