"""Recipes: how templates are made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import TemplateNotFoundError, suggest

if TYPE_CHECKING:
    import os

    from lago_sdk.spec.recipe import RecipeSpec
    from lago_sdk.templates.recipes.model import Recipe


RECIPES = ("tiny", "debian-12")
"""Names of the recipes that come with the library."""
_FILE_SUFFIXES = (".yaml", ".yml", ".json")


def get_recipe(name: str | os.PathLike[str]) -> Recipe:
    """Return the recipe of a template.

    Args:
        name: One of `RECIPES`, or the path of a recipe file: it has a ``/`` or ends in
            ``.yaml``, ``.yml`` or ``.json``.

    Raises:
        TemplateNotFoundError: There is none; the hint names those there are.
        SpecError: The recipe file is wrong; carries every problem.
    """
    if is_recipe_file(name):
        from lago_sdk.codec.recipe import load_recipe

        return _make_recipe(load_recipe(name))
    if name in RECIPES:
        from lago_sdk.spec.recipe import Base, RecipeSpec

        return _make_recipe(RecipeSpec(name=str(name), base=Base(name)))
    hint = suggest(str(name), RECIPES)
    raise TemplateNotFoundError(f"there is no recipe for a template {name!r}", hint=hint)


def _make_recipe(spec: RecipeSpec) -> Recipe:
    from lago_sdk.spec.recipe import Base

    if spec.base is Base.TINY:
        from lago_sdk.templates.recipes.tiny import TinyRecipe

        return TinyRecipe(spec=spec)
    from lago_sdk.templates.recipes.debian import DebianRecipe

    return DebianRecipe(spec=spec)


def is_recipe_file(name: str | os.PathLike[str]) -> bool:
    """Tell whether *name* is the path of a recipe file and no recipe's name."""
    return not isinstance(name, str) or "/" in name or name.endswith(_FILE_SUFFIXES)
