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
BASE, BASE_DIGEST = "base", "base-digest"
"""Facts of a layer: the template that it lies on, and the digest of that one's image."""
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


def resolve_chain(
    image: Image, *, images: ImageTool, templates: Templates, base_digest: object = None
) -> Chain:
    """Follow the backing files of *image*.

    Args:
        image: Where to begin.
        images: Looks at images.
        templates: Where a template that is named comes from.
        base_digest: ``sha256:<hex>`` that the image of that template has, where it is known.

    Raises:
        ImageError: A layer is missing, damaged or below itself, or the template is another one.
        TemplateError: The template that is named at the end cannot be had.
    """
    layers = [image]
    while (below := layers[-1].backing) is not None:
        upper = layers[-1].path
        if _PROTOCOL.match(below):
            break
        path = Path(below)
        if not path.is_file():
            template = _find_template(path, upper, templates, base_digest)
            return Chain(layers=tuple(layers), template=template)
        if any(path.samefile(layer.path) for layer in layers):
            raise ImageError(
                f"the image {upper} has {below} as its backing file, and so is below itself",
                hint="see qemu-img info --backing-chain",
            )
        layers.append(images.inspect(path))
    return Chain(layers=tuple(layers))


def _find_template(path: Path, upper: str, templates: Templates, base_digest: object) -> Image:
    reference = find_reference(path.name)
    if reference is None:
        raise ImageError(
            f"the backing file {str(path)!r} of the image {upper} is missing",
            hint="put it there, or name a template: qemu-img rebase -u -b ./TEMPLATE:VERSION",
        )
    found = templates.get(*reference)
    if base_digest is not None:
        check_base(":".join(reference), str(base_digest), found)
    return found


def check_base(reference: str, digest: str, template: Image) -> None:
    """Check that a template is the one that layers were made on.

    Args:
        reference: ``name:version``.
        digest: ``sha256:<hex>`` of the image that they were made on.
        template: What this machine has.

    Raises:
        ImageError: It is another one: the layers would be nonsense on it.
    """
    if template.digest != digest:
        raise ImageError(
            f"the template {reference} of this machine ({template.digest}) is not the one that "
            f"the image is a layer on ({digest})",
            hint="bring that one: lagoctl template export, template import; or export with "
            "--standalone",
        )
