"""A file system of a test's own that can be filled up and made larger; root only."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MIB = 1 << 20


class SmallDisk:
    """A tmpfs at *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave_free(self, size: int) -> None:
        """Leave *size* MiB beside what is used."""
        self._resize(shutil.disk_usage(self.path).used + size * _MIB)

    def grow(self) -> None:
        """Give it room for everything."""
        self._resize(400 * _MIB)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount one of 64 MiB at the new directory *path* for the block."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", path], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=False)
