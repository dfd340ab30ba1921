"""The directory of a private host's sockets: short, private, ours.

Sockets in it give full control of the host, and its parent may be ``/tmp``, so nothing in it is
used before owner and mode were seen to be right.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from lago_sdk.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes of a unix socket's path: ``sun_path`` has 108, one for the final NUL (unix(7))."""
CONTROL_SOCKET = "control"
LIBVIRT_SOCKET = "libvirt-sock"
_LONGEST_NAME = "libvirt-admin-sock"
"""The longest socket name that libvirtd makes beside ours."""


def check_path(run_dir: Path) -> None:
    """Check that sockets in *run_dir* have paths that the kernel takes.

    Raises:
        HostError: They are too long.
    """
    length = len(os.fsencode(run_dir / _LONGEST_NAME))
    if length > SOCKET_PATH_LIMIT:
        raise HostError(
            f"the run directory {run_dir} is too long: its sockets' paths would have {length} "
            f"bytes, and the kernel takes {SOCKET_PATH_LIMIT}",
            hint="choose a shorter one, for example below /run/user or /tmp",
        )


def find_safe(run_dir: Path) -> bool:
    """Whether *run_dir* is there.

    Raises:
        HostError: It is there, and it is not a directory of ours that only we can enter.
    """
    try:
        found = run_dir.lstat()
    except FileNotFoundError:
        return False
    _check_ours(run_dir, found)
    return True


def create(run_dir: Path) -> None:
    """Make *run_dir* afresh, with mode 0700; parents likewise where they are missing.

    Raises:
        HostError: Somebody else can change what is in it.
    """
    check_path(run_dir)
    _create_parents(run_dir.parent)
    remove(run_dir)
    run_dir.mkdir(mode=0o700)
    run_dir.chmod(0o700)


def remove(run_dir: Path) -> None:
    """Remove *run_dir* and its sockets; idempotent.

    Raises:
        HostError: It is not ours.
    """
    if find_safe(run_dir):
        shutil.rmtree(run_dir)


def _create_parents(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        _create_parents(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{path} is not a directory (links are not followed)", hint="remove it")
    if found.st_uid not in {0, os.geteuid()}:
        raise HostError(
            f"{path} belongs to user {found.st_uid}, who could put sockets of their own into it",
            hint="remove it, or choose another run directory",
        )
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise HostError(f"other users can write to {path}", hint=f"chmod go-w {path}")


def _check_ours(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{path} is not a directory (links are not followed)", hint="remove it")
    if found.st_uid != os.geteuid():
        raise HostError(
            f"the run directory {path} belongs to user {found.st_uid}, not to us",
            hint="run as the user who made the prefix",
        )
    if found.st_mode & 0o077:
        raise HostError(f"other users can enter {path}", hint=f"chmod 0700 {path}")
