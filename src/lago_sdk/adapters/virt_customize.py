"""Changing a disk's content by virt-customize, which boots an appliance of its own over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.adapters.process import run
from lago_sdk.errors import ImageError, MissingToolError, ToolError, shorten
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PROGRAM = "virt-customize"
_PACKAGE = "libguestfs-tools"
_TIMEOUT = 3600.0
"""Seconds; it may install packages over the network."""


class VirtCustomize:
    """An `ImageBuilder` over the program virt-customize.

    Args:
        environ: The environment of the program.
        has_kvm: Whether the appliance may use KVM; libguestfs sees only whether it is there.
    """

    def __init__(self, environ: Mapping[str, str], *, has_kvm: bool) -> None:
        self._environ = {"LIBGUESTFS_BACKEND": "direct", **environ}
        if not has_kvm:
            self._environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")

    def build(
        self, disk: Path, image_format: DiskFormat, arguments: Sequence[str], *, directory: Path
    ) -> None:
        """See `ImageBuilder.build`.

        Raises:
            MissingToolError: virt-customize is not installed.
            ImageError: It failed; carries the end of what it said.
        """
        kind = "qcow2" if image_format is DiskFormat.QCOW2 else "raw"
        argv = [_PROGRAM, "--format", kind, "-a", str(disk), *arguments]
        try:
            run(argv, env=self._environ, cwd=directory, timeout=_TIMEOUT)
        except MissingToolError as error:
            raise MissingToolError(_PROGRAM, package=_PACKAGE) from error
        except ToolError as error:
            last = shorten(error.output, 800)
            hint = "try the same options by hand; virt-customize -v -x tells more"
            raise ImageError(
                f"{_PROGRAM} failed with code {error.code}: {last}", hint=hint
            ) from error
