"""Build templates from recipes, into the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lago_sdk.events import Observer, ignore, stage
from lago_sdk.templates.recipes import get_recipe
from lago_sdk.templates.store import digest

if TYPE_CHECKING:
    import os

    from lago_sdk.templates.store import Template, TemplateStore

RECIPE = "recipe-version"
"""Metadata key of the recipe's version."""


def build_template(
    name: str | os.PathLike[str],
    *,
    store: TemplateStore,
    observer: Observer = ignore,
    force: bool = False,
) -> Template:
    """Build a template, unless this version of its recipe has been built already.

    Processes that ask for the same template at the same time build it once. The version is the
    recipe's, followed by the beginning of the image's digest, so an image that is in use is
    never replaced by another.

    Args:
        name: A recipe's name, or the path of a recipe file.
        store: Where it goes.
        observer: Told of each stage.
        force: Build also when there is one; from the packages of today.

    Raises:
        TemplateNotFoundError: There is no such recipe.
        SpecError: The recipe file is wrong; carries every problem.
        MissingToolError: A program is not installed.
        TemplateError: It cannot be built, or the store cannot be written.
    """
    recipe = get_recipe(name)
    with store.locked(recipe.name, observer) as shelf:
        if not force:
            for template in store.list(recipe.name):
                if template.image.metadata.get(RECIPE) == recipe.version:
                    return template
        work = shelf.scratch / "build"
        work.mkdir()
        built = recipe.build(work, observer)
        with stage(observer, "add to the store", recipe.name) as running:
            version = f"{recipe.version}-{digest(built.path).partition(':')[2][:12]}"
            running.tell(version)
            return shelf.add(
                version,
                built.path,
                timestamp=time.time(),
                size=built.size,
                image_format=built.format,
                metadata={**built.metadata, RECIPE: recipe.version},
            )
