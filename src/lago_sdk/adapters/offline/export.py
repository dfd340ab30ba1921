"""Disk images as plain raw files that other programs can open, while no VM uses them.

qemu-storage-daemon shows the whole backing chain as one file by FUSE, which takes some twenty
milliseconds and needs no root: qemu-storage-daemon(1), "--export type=fuse". It takes QEMU's locks
on the images, so that a disk that is in use is refused. Where there is no FUSE, an image can be
read from a raw copy.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import Companion, run
from lago_sdk.errors import ImageError, ToolError, shorten
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.001
_TIMEOUT = 30.0
"""Seconds that an export may take to begin, or to end."""
_LOCKED = ('Failed to get "', "Failed to get shared", "Is another process using the image")
"""What QEMU says of an image that is in use."""


class NoExportError(Exception):
    """FUSE cannot be used here.

    It says so to the offline adapter, which takes another road, and does not leave it.
    """


@contextlib.contextmanager
def export_image(
    path: Path, image_format: DiskFormat, *, read_only: bool, scratch: Path, offset: int = 0
) -> Iterator[Path]:
    """Have the content of an image as a file for the block.

    Args:
        path: The image.
        image_format: Its format.
        read_only: Whether the file may not be written to.
        scratch: A directory of our own; the file is in it.
        offset: Leave out so many bytes at the beginning.

    Raises:
        NoExportError: There is no FUSE here.
        ImageError: A program uses the image, or it is damaged or missing.
    """
    if not path.is_file():
        raise ImageError(f"there is no image {str(path)!r}")
    place, pid_file = scratch / "disk", scratch / "disk.pid"
    place.touch()
    nodes = list(_list_nodes(path, image_format, read_only=read_only, offset=offset))
    export = {"type": "fuse", "id": "export", "node-name": nodes[-1]["node-name"]}
    access = {"writable": not read_only, "growable": False, "allow-other": "off"}
    options = [word for node in nodes for word in ("--blockdev", json.dumps(node))]
    options += ["--export", json.dumps({**export, **access, "mountpoint": str(place)})]
    argv = ["qemu-storage-daemon", "--pidfile", str(pid_file), *options]
    try:
        daemon = Companion(argv)
    except ToolError as error:
        raise NoExportError(str(error)) from error
    try:
        _wait_until_ready(daemon, pid_file, path)
        yield place
    finally:
        # It writes out what is left, and unmounts.
        code = daemon.end(kill=True, timeout=_TIMEOUT)
    if code != 0:
        raise ImageError(f"{str(path)!r} may not be written out: {argv[0]} ended with code {code}")


@contextlib.contextmanager
def overlay_image(
    path: Path, image_format: DiskFormat, *, scratch: Path, offset: int
) -> Iterator[Path]:
    """Have the content of an image as a file that may be changed, without changing the image.

    Args:
        path: The image.
        image_format: Its format.
        scratch: A directory of our own.
        offset: Leave out so many bytes at the beginning.

    Raises:
        NoExportError: There is no FUSE here.
        ImageError: A program uses the image, or it is damaged or missing.
    """
    overlay = scratch / "overlay.qcow2"
    backing = ["-F", _driver(image_format), "-b", str(path.absolute())]
    _run_qemu_img(["create", "-q", "-f", "qcow2", *backing, str(overlay)], path)
    try:
        with export_image(
            overlay, DiskFormat.QCOW2, read_only=False, scratch=scratch, offset=offset
        ) as place:
            yield place
    finally:
        overlay.unlink()


@contextlib.contextmanager
def copy_image(
    path: Path, image_format: DiskFormat, *, scratch: Path, offset: int = 0
) -> Iterator[Path]:
    """Have a sparse raw copy of an image for the block; it may be changed.

    Args:
        path: The image.
        image_format: Its format.
        scratch: A directory of our own; the copy is in it.
        offset: Leave out so many bytes at the beginning.

    Raises:
        ImageError: A program uses the image, it is damaged, or there is no room.
    """
    place = scratch / "disk"
    file = {"driver": "file", "filename": str(path.absolute())}
    disk = {"driver": _driver(image_format), "file": file}
    area = {"driver": "raw", "offset": offset, "file": disk}
    _run_qemu_img(["convert", "-q", "-O", "raw", f"json:{json.dumps(area)}", str(place)], path)
    try:
        yield place
    finally:
        place.unlink()


def _list_nodes(
    path: Path, image_format: DiskFormat, *, read_only: bool, offset: int
) -> Iterator[dict[str, object]]:
    """Yield QEMU's block nodes from the file upwards; the last one is the disk's content."""
    name = str(path.absolute())
    driver = _driver(image_format)
    access = {"read-only": read_only}
    yield {"driver": "file", "node-name": "file", "filename": name, **access}
    yield {"driver": driver, "node-name": "disk", "file": "file", **access}
    if offset:
        yield {"driver": "raw", "node-name": "area", "file": "disk", "offset": offset, **access}


def _wait_until_ready(daemon: Companion, pid_file: Path, path: Path) -> None:
    """Return when the export is there: then the daemon writes its pid file."""
    end = time.monotonic() + _TIMEOUT
    while daemon.is_running and not pid_file.exists():
        if time.monotonic() > end:
            raise ImageError(f"the disk {str(path)!r} was not opened within {_TIMEOUT:g} s")
        time.sleep(_POLL_SECONDS)
    if not daemon.is_running:
        raise _explain(daemon.read(1 << 16, timeout=1.0).decode(errors="replace"), path)


def _explain(told: str, path: Path) -> Exception:
    """Return the error for what the daemon said before it ended."""
    if any(sign in told for sign in _LOCKED):
        return ImageError(
            f"something uses the disk {str(path)!r}",
            hint="a running VM's disk cannot be opened: stop the VM first",
        )
    if "fuse" in told.lower():
        return NoExportError(told)
    return ImageError(f"cannot open the disk {str(path)!r}: {shorten(told, 400)}")


def _run_qemu_img(arguments: list[str], path: Path) -> None:
    try:
        run(["qemu-img", *arguments], timeout=None)
    except ToolError as error:
        raise _explain(error.output, path) from error


def _driver(image_format: DiskFormat) -> str:
    return "qcow2" if image_format is DiskFormat.QCOW2 else "raw"
