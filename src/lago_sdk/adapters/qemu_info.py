"""What ``qemu-img`` tells of an image, and what its errors mean."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lago_sdk.adapters.process import run
from lago_sdk.errors import ImageError, ToolError, shorten
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FULL = "the file system is full: free some space"
_HINTS = (
    ("No space left on device", FULL),
    ("Permission denied", "check the permissions of the file and of the directories above it"),
    ("No such file or directory", "the file, its directory or its backing file is missing"),
    ("smaller than", "ask for at least the size of the backing file"),
)
"""What qemu-img and cp say, and what to try then."""


def read_info(path: Path, options: Sequence[str] = ()) -> Any:
    """Return what ``qemu-img info`` tells of an image, also of one that a running VM uses.

    Raises:
        ImageError: It is missing or damaged.
    """
    # An absolute path: qemu-img takes "nbd:x" or "json:{}" for something else than a file.
    argv = ["qemu-img", "info", "--output=json", "-U", *options, os.fspath(path.absolute())]
    try:
        return json.loads(run(argv).out)
    except ToolError as error:
        raise translate(f"cannot read the image {path}", error) from error


def qemu_format(image_format: DiskFormat) -> str:
    """Return the word of QEMU for a format."""
    return "raw" if image_format is DiskFormat.ISO else image_format.value


def translate(message: str, error: ToolError) -> ImageError:
    """Return *error* of qemu-img or cp as ours, with a hint where there is something to try."""
    hint = next((hint for text, hint in _HINTS if text in error.output), None)
    return ImageError(f"{message}: {shorten(error.output, 500)}", hint=hint)
