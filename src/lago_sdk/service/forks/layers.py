"""Layers that prefixes share: made once, then linked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from lago_sdk.plan.models import Image
    from lago_sdk.ports import ImageTool
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.spec.disk import DiskFormat


def link(source: Path, target: Path, images: ImageTool) -> None:
    """Have the file *source*, which never changes, at *target* too; kept where it is there.

    Where the two are on different file systems, it is copied.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        images.copy(source, target)


class Freezer:
    """Makes layers in a fork from the disks of the prefix that is forked.

    Args:
        source: The prefix that is forked; its VMs are paused or off.
        target: The fork.
        images: Makes images.
    """

    def __init__(self, source: PrefixLayout, target: PrefixLayout, images: ImageTool) -> None:
        self._source = source
        self._target = target
        self._images = images

    def freeze(self, path: Path, image_format: DiskFormat) -> Path:
        """Make a layer of what the disk *path* holds, and have all below it; returns its place."""
        found = self._images.inspect(path) if image_format.value == "qcow2" else None
        layer = self._target.layers / f"{uuid4().hex[:12]}-{path.stem}.qcow2"
        below = self.share_below(found) if found is not None else None
        self._images.create_layer(path, layer, image_format=image_format, below=below)
        return layer

    def share_below(self, image: Image) -> Image | None:
        """Return what is below *image*, as the fork has it."""
        if image.backing is None:
            return None
        path = Path(image.backing)
        if not path.is_relative_to(self._source.path):
            return self._images.inspect(path)  # a template, or an image of the user's own
        found = self._images.inspect(path)
        below = self.share_below(found)
        shared = self._target.layers / path.name
        if path.parent == self._source.layers:
            link(path, shared, self._images)
        else:
            # It names what is below it by a path that another prefix does not have.
            self._images.create_layer(path, shared, image_format=found.format, below=below)
        return self._images.inspect(shared)
