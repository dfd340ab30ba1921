"""Conversions by ``qemu-img``, which may take long: with progress, and ended when we are."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import Companion
from lago_sdk.adapters.qemu_info import FULL, qemu_format, read_info, translate
from lago_sdk.errors import ImageError, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lago_sdk.ports import Tell
    from lago_sdk.spec.disk import DiskFormat

_PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
_SILENCE = 6 * 3600.0
"""Seconds that one percent of a large image on a slow disk may take."""
_KEPT = 4096
"""Bytes of what it says that are kept for an error."""
_NOTHING = 1 << 20
"""Bytes: a file system that has less is full."""


class Conversions:
    """Images written anew, whole."""

    def flatten(
        self, source: Path, path: Path, *, image_format: DiskFormat, progress: Tell
    ) -> None:
        """Write an image and all below it as one of its own; runs of zeros take no room.

        Args:
            source: The image; nothing uses it. What is inside of it under tags is left out.
            path: The new image.
            image_format: The format of both.
            progress: Told how far it is, in bytes that a guest sees.

        Raises:
            ImageError: *source* cannot be read or *path* not written.
        """
        kind = qemu_format(image_format)
        self._convert(source, path, ["-f", kind, "-O", kind], progress)

    def create_vmdk(
        self, source: Path, path: Path, *, image_format: DiskFormat, progress: Tell
    ) -> None:
        """Write an image and all below it as a stream-optimized VMDK, which is compressed.

        Args:
            source: The image; nothing uses it.
            path: The new image.
            image_format: The format of *source*.
            progress: Told how far it is, in bytes that a guest sees.

        Raises:
            ImageError: *source* cannot be read or *path* not written.
        """
        kind = ["-O", "vmdk", "-o", "subformat=streamOptimized,adapter_type=lsilogic"]
        self._convert(source, path, ["-f", qemu_format(image_format), *kind], progress)

    def _convert(self, source: Path, path: Path, options: list[str], progress: Tell) -> None:
        size = read_info(source, options[:2])["virtual-size"]
        try:
            files = [str(source.absolute()), str(path.absolute())]
            convert([*options, *files], size=size, progress=progress)
        except ToolError as error:
            # The VMDK driver calls it an invalid argument.
            is_full = shutil.disk_usage(path.parent).free < _NOTHING
            path.unlink(missing_ok=True)
            told = translate(f"cannot write {source} as {path}", error)
            hint = FULL if is_full else told.hint
            raise ImageError(told.message, hint=hint) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def convert(arguments: Sequence[str], *, size: int, progress: Tell) -> None:
    """Run ``qemu-img convert -p`` with *arguments*.

    Args:
        arguments: Options, the source and the target.
        size: Bytes that a guest sees of the source.
        progress: Told how many of them are done; what it raises ends the program.

    Raises:
        ToolError: It failed.
    """
    argv = ["qemu-img", "convert", "-p", *arguments]
    program = Companion(argv)
    said = b""
    try:
        while data := program.read(_KEPT, timeout=_SILENCE):
            said = (said + data)[-_KEPT:]
            found = _PERCENT.findall(data)
            if found:
                progress(int(float(found[-1]) / 100 * size), size)
    except BaseException:
        program.end(kill=True)
        raise
    code = program.end()
    if code != 0:
        lines = re.split(rb"[\r\n]+", said)
        told = [line.decode(errors="replace") for line in lines if not _PERCENT.search(line)]
        raise ToolError(argv, code, "\n".join(line for line in told if line.strip()))
    progress(size, size)
