"""Backing chains of users' images: which files are below, and which template below them.

Lago exported layered images whose lowest layer names a template: its backing file is called
``template:version`` (with the repository's name before it, in older ones) and is not beside it.
Such a chain is completed from the store, on copies of our own: users' files are never changed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ImageError
from lago_sdk.plan.models import Image

if TYPE_CHECKING:
    from lago_sdk.ports import ImageTool, Templates

_REFERENCE = re.compile(r"(?:[^:/]+:)?([^:/]+):([^:/]+)")
"""``template:version`` or ``repository:template:version``."""
_PROTOCOL = re.compile(r"(?:json:\{|[a-z][a-z0-9+]*://)")
"""What QEMU takes for something else than a file's name."""


@attrs.frozen(kw_only=True)
class Chain:
    """An image and those below it."""

    layers: tuple[Image, ...]
    """Files that are there, the image itself first."""
    template: Image | None = None
    """What belongs below the last layer and is not where the layer says."""


def find_reference(name: str) -> tuple[str, str] | None:
    """Return the template and version that a backing file's name tells, or ``None``."""
    match = _REFERENCE.fullmatch(name)
    return (match[1], match[2]) if match else None


def resolve_chain(image: Image, *, images: ImageTool, templates: Templates) -> Chain:
    """Follow the backing files of *image*.

    Raises:
        ImageError: A layer is missing, damaged or below itself.
        TemplateError: The template that is named at the end cannot be had.
    """
    layers = [image]
    while (below := layers[-1].backing) is not None:
        upper = layers[-1].path
        if _PROTOCOL.match(below):
            break
        path = Path(below)
        if not path.is_file():
            return Chain(layers=tuple(layers), template=_find_template(path, upper, templates))
        if any(path.samefile(layer.path) for layer in layers):
            raise ImageError(
                f"the image {upper} has {below} as its backing file, and so is below itself",
                hint="see qemu-img info --backing-chain",
            )
        layers.append(images.inspect(path))
    return Chain(layers=tuple(layers))


def _find_template(path: Path, upper: str, templates: Templates) -> Image:
    reference = find_reference(path.name)
    if reference is None:
        raise ImageError(
            f"the backing file {str(path)!r} of the image {upper} is missing",
            hint="put it there, or name a template: qemu-img rebase -u -b ./TEMPLATE:VERSION",
        )
    return templates.get(*reference)
