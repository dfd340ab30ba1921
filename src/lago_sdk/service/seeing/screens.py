"""Pictures of what guests show, and how to sit at their displays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import VMError
from lago_sdk.render.png import convert_ppm, parse_size
from lago_sdk.service.observing.running import check_active, get_hypervisor
from lago_sdk.spec.vm import VideoModel

if TYPE_CHECKING:
    import os

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_PNG = "image/png"


@attrs.frozen(kw_only=True)
class Screenshot:
    """A picture of a display. A notebook shows it."""

    data: bytes = attrs.field(repr=False)
    """It as PNG."""
    width: int
    """In pixels."""
    height: int
    path: Path | None = None
    """Where it was written; ``None`` where it was not."""

    def _repr_png_(self) -> bytes:
        """Return what notebooks show."""
        return self.data


def take_screenshot(
    vm: VMPlan, context: PrefixContext, path: str | os.PathLike[str] | None
) -> Screenshot:
    """Take a picture of what *vm* shows, and write it to *path* unless that is ``None``.

    Raises:
        VMError: It has no display, or no picture can be made of it.
        VMNotRunningError: It is off.
        LagoError: The file cannot be written.
    """
    if vm.spec.video is VideoModel.NONE:
        message = f"{vm.name!r} shows nothing: it has no display (video: none)"
        raise VMError(vm.name, message, hint="give it one: video: vga; or look at its console")
    hypervisor = get_hypervisor(vm, context, need="its display", is_use=False)
    check_active(vm, hypervisor)
    picture = hypervisor.take_picture(vm.domain)
    try:
        data = picture.data if picture.mime == _PNG else convert_ppm(picture.data)
        width, height = parse_size(data)
    except ValueError as error:
        message = f"the picture of {vm.name!r} cannot be read ({picture.mime}): {error}"
        raise VMError(vm.name, message, hint="try again in a second") from error
    target = None if path is None else Path(path)
    if target is not None:
        context.world.files.write_atomic(target, data)
    return Screenshot(data=data, width=width, height=height, path=target)
