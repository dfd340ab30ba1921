"""Whether another user, as whom QEMU runs, can reach a file.

A system libvirtd runs QEMU as a user of its own and gives it the disks, but not the directories
above them, nor the files below an overlay. Permissions are looked at as the kernel does it, with
POSIX ACLs (acl(5); their form in ``system.posix_acl_access``: ``linux/posix_acl_xattr.h``).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.ports import Barrier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_QEMU_CONF = Path("/etc/libvirt/qemu.conf")
_SETTING = re.compile(r'^\s*(user|group)\s*=\s*"([^"]+)"', re.MULTILINE)
_DEFAULT_USERS = ("libvirt-qemu", "qemu")
"""Of Debian's and Ubuntu's libvirt; of Fedora's, Red Hat's and SUSE's."""
_READ, _ENTER = 4, 1
_ACL_USER, _ACL_GROUP_OBJ, _ACL_GROUP, _ACL_MASK = 0x02, 0x04, 0x08, 0x10
_ACL_HEADER, _ACL_ENTRY = 4, struct.Struct("<HHI")


@attrs.frozen(kw_only=True)
class User:
    """Somebody who wants to reach a file."""

    name: str
    uid: int
    gids: frozenset[int]


@attrs.frozen(kw_only=True)
class Step:
    """A directory on the way to a file, or the file itself."""

    path: Path
    mode: int
    """``st_mode``."""
    uid: int
    gid: int
    acl: tuple[tuple[int, int, int], ...] = ()
    """Entries of its access control list: tag, permissions, id."""


def find_barrier(path: Path) -> Barrier | None:
    """Return what keeps the QEMU of the system's libvirtd from *path*.

    Args:
        path: A directory, which it must be able to enter, or a file, which it must be able to
            read.

    Returns:
        ``None`` where nothing does, or where it cannot be told.
    """
    user = find_qemu_user()
    if user is None:
        return None
    try:
        step = find_blocking(_list_steps(path), user)
    except OSError:
        return None
    return None if step is None else Barrier(path=step.path, user=user.name)


def find_blocking(steps: Iterable[Step], user: User) -> Step | None:
    """Return the first of *steps* that *user* cannot enter or, a file, not read; pure."""
    for step in steps:
        wanted = _ENTER if stat.S_ISDIR(step.mode) else _READ
        if not _find_permissions(step, user) & wanted:
            return step
    return None


def find_qemu_user(conf: Path = _QEMU_CONF) -> User | None:
    """Return as whom the system's libvirtd runs QEMU, or ``None`` where that cannot be told."""
    try:
        settings = dict(_SETTING.findall(conf.read_text()))
    except OSError:  # absent; or root's only, as Debian has it
        settings = {}
    names = [settings["user"]] if "user" in settings else _DEFAULT_USERS
    for name in names:
        user = _find_user(name)
        if user is not None:
            gids = user.gids | _find_group(settings.get("group"))
            return attrs.evolve(user, gids=gids)
    return None


def _find_user(name: str) -> User | None:
    try:
        number = name.removeprefix("+")
        entry = pwd.getpwuid(int(number)) if number.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None
    gids = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return User(name=entry.pw_name, uid=entry.pw_uid, gids=frozenset(gids))


def _find_group(name: str | None) -> frozenset[int]:
    if name is None:
        return frozenset()
    number = name.removeprefix("+")
    try:
        return frozenset({int(number) if number.isdigit() else grp.getgrnam(name).gr_gid})
    except KeyError:
        return frozenset()


def _list_steps(path: Path) -> Iterator[Step]:
    real = path.resolve()
    for place in (*reversed(real.parents), real):
        status = place.stat()
        yield Step(
            path=place,
            mode=status.st_mode,
            uid=status.st_uid,
            gid=status.st_gid,
            acl=_read_acl(place),
        )


def _read_acl(path: Path) -> tuple[tuple[int, int, int], ...]:
    try:
        raw = os.getxattr(path, "system.posix_acl_access")
    except OSError:  # none, or a file system that has none
        return ()
    return tuple(
        (tag, permissions, number)
        for tag, permissions, number in _ACL_ENTRY.iter_unpack(raw[_ACL_HEADER:])
    )


def _find_permissions(step: Step, user: User) -> int:
    """Return the permission bits that count for *user*, by the algorithm of acl(5)."""
    if user.uid == step.uid:
        return step.mode >> 6 & 7
    mask = next((bits for tag, bits, _ in step.acl if tag == _ACL_MASK), 7)
    for tag, bits, number in step.acl:
        if tag == _ACL_USER and number == user.uid:
            return bits & mask
    own = next((bits for tag, bits, _ in step.acl if tag == _ACL_GROUP_OBJ), step.mode >> 3 & 7)
    groups = [own] if step.gid in user.gids else []
    groups += [bits for tag, bits, gid in step.acl if tag == _ACL_GROUP and gid in user.gids]
    if not groups:
        return step.mode & 7
    granted = 0
    for bits in groups:
        granted |= bits & mask
    return granted
