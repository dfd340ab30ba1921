"""A conversation with debugfs(8), which reads and changes ext2, ext3 and ext4 without a mount.

debugfs exits with 0 whatever failed, so each command's output is looked at. A command is followed
by a word that it does not know and nobody can guess: what it says to that is the end of the
answer, and no name on a guest's disk can imitate it. Inodes are given by number, so that names a
guest made up are never parsed.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import Companion
from lago_sdk.errors import ImageError, shorten

if TYPE_CHECKING:
    from pathlib import Path

ROOT_INODE = 2
_PROMPT = b"debugfs:  "
_CHUNK = 1 << 20
_TIMEOUT = 300.0
"""Seconds in which a command says something; the largest file takes less to copy."""
_ENTRY = re.compile(rb"/(\d+)/([0-7]+)/(\d+)/(\d+)/([^/]*)/(\d*)/\n")
"""A line of ``ls -p``: inode, mode, owner, group, name and size, which directories lack. Names
have no slash; they may have line ends."""
_ALLOCATED = re.compile(rb"Allocated inode: (\d+)\n")
_FAST_LINK = b'Fast link dest: "'


@attrs.frozen
class Inode:
    """An entry of a directory, as ``ls -p`` tells it."""

    number: int
    mode: int
    """With the type, as ``st_mode``."""
    uid: int
    gid: int
    name: str
    """Decoded by ``os.fsdecode``."""
    size: int


class Debugfs:
    """A running debugfs; close it whatever happens.

    Args:
        device: The file system: a path, with ``?offset=N`` where it begins later.
        directory: Where files of the host are that commands name.
        writable: Whether commands may change it.

    Raises:
        MissingToolError: e2fsprogs is not installed.
        ImageError: It is no such file system, or is damaged.
    """

    def __init__(self, device: str, directory: Path, *, writable: bool = False) -> None:
        argv = ["debugfs", *(["-w"] if writable else []), device]
        # Neither a pager nor an echo of what we say.
        env = {**os.environ, "DEBUGFS_PAGER": "__none__", "SS_READLINE_PATH": "none", "LC_ALL": "C"}
        self._process = Companion(argv, env=env, cwd=directory)
        try:
            self._check_open()
        except BaseException:
            self._process.end(kill=True)
            raise

    def close(self) -> None:
        """End it; what was changed is written out then."""
        self._process.end()

    def list_directory(self, inode: int) -> tuple[Inode, ...]:
        """Return the entries of a directory, without ``.`` and ``..``.

        Raises:
            ImageError: It is no directory, or is damaged.
        """
        answer = self._ask(f"ls -p <{inode}>")
        found: list[Inode] = []
        place = 0
        while match := _ENTRY.match(answer, place):
            number, mode, uid, gid, name, size = match.groups()
            place = match.end()
            if name not in {b"", b".", b".."}:
                text = os.fsdecode(name)
                entry = Inode(int(number), int(mode, 8), int(uid), int(gid), text, int(size or 0))
                found.append(entry)
        if answer[place:] != b"\n":
            raise _refused("list a directory", answer[place:])
        return tuple(found)

    def read_link(self, inode: Inode) -> str:
        """Return the target of a symbolic link.

        Raises:
            ImageError: It is damaged.
        """
        answer = self._ask(f"stat <{inode.number}>")
        _, found, rest = answer.partition(_FAST_LINK)
        # Long targets have a block of their own.
        target = rest[: inode.size] if found else self._ask(f"cat <{inode.number}>")
        if len(target) != inode.size:
            raise _refused("read a link", answer)
        return os.fsdecode(target)

    def dump(self, inode: int, name: str) -> None:
        """Copy a file with its mode and times to *name*, a plain name in our directory.

        Owners are taken over where we may; nothing is said where we may not, nor where the host's
        file system is full: look at what is there.
        """
        self._ask(f"dump -p <{inode}> {name}")

    def make_directory(self, parent: int, name: str) -> int:
        """Make a directory that is not there; returns its inode.

        There must be nothing of the name: debugfs would leave a directory without a name then.

        Raises:
            ImageError: It cannot be made.
        """
        self._change(parent, f"mkdir {quote(name)}", "make a directory")
        return self.get_entry(parent, name).number

    def write(self, parent: int, name: str, source: str) -> int:
        """Write the file *source* of our directory as *name*; returns its inode.

        Raises:
            ImageError: It cannot be written.
        """
        answer = self._enter(parent, f"write {source} {quote(name)}")
        match = _ALLOCATED.fullmatch(answer)
        if match is None:
            raise _refused("write a file", answer)
        return int(match[1])

    def make_link(self, parent: int, name: str, target: str) -> int:
        """Make a symbolic link; returns its inode.

        Raises:
            ImageError: It cannot be made.
        """
        command = f"symlink {quote(name)} {quote(target)}"
        self._change(parent, command, "make a link")
        return self.get_entry(parent, name).number

    def unlink(self, parent: int, name: str, *, is_directory: bool = False) -> None:
        """Remove a name, and what it names with the last one.

        Raises:
            ImageError: It cannot be removed, as a directory that is not empty.
        """
        verb = "rmdir" if is_directory else "rm"
        self._change(parent, f"{verb} {quote(name)}", "remove a file")

    def set_field(self, inode: int, field: str, value: str) -> None:
        """Set a field of an inode, by debugfs's name for it.

        Raises:
            ImageError: It cannot be set.
        """
        answer = self._ask(f"set_inode_field <{inode}> {field} {value}")
        if answer.strip():
            raise _refused(f"set the {field} of a file", answer)

    def find_entry(self, parent: int, name: str) -> Inode | None:
        """Return the entry *name* of a directory, or ``None``."""
        return next((entry for entry in self.list_directory(parent) if entry.name == name), None)

    def get_entry(self, parent: int, name: str) -> Inode:
        """Return the entry *name* of a directory.

        Raises:
            ImageError: There is none.
        """
        found = self.find_entry(parent, name)
        if found is None:
            raise ImageError(f"{name!r} was not made; the file system is full or damaged")
        return found

    def _change(self, parent: int, command: str, what: str) -> None:
        answer = self._enter(parent, command)
        if _ALLOCATED.sub(b"", answer).strip():
            raise _refused(what, answer)

    def _enter(self, parent: int, command: str) -> bytes:
        """Run a command in a directory: a bare name is not looked up as a path or an inode."""
        answer = self._ask(f"cd <{parent}>")
        if answer.strip():
            raise _refused("enter a directory", answer)
        return self._ask(command)

    def _check_open(self) -> None:
        answer = self._ask("show_super_stats -h")
        if b"Filesystem UUID" not in answer:
            raise _refused("open the file system", answer)

    def _ask(self, command: str) -> bytes:
        """Return all that debugfs says to *command*."""
        nonce = secrets.token_hex(8)
        end = f'Unknown request "{nonce}".  Type "?" for a request list.\n'.encode()
        self._process.write(os.fsencode(f"{command}\n{nonce}\n"))
        answer = bytearray()
        place = -1
        while place < 0:
            data = self._process.read(_CHUNK, timeout=_TIMEOUT)
            if not data:
                raise _refused("talk to debugfs", bytes(answer))
            answer += data
            place = answer.find(end, max(0, len(answer) - len(data) - len(end)))
        # What follows is the prompt for the next command; it may come with that one's answer.
        told = bytes(answer[:place]).removesuffix(b"debugfs: ").removesuffix(_PROMPT)
        return told.removeprefix(_PROMPT)


def quote(text: str) -> str:
    """Return *text* as one word of debugfs, which knows double quotes only, doubled inside.

    Raises:
        ImageError: It has a line end or a NUL, which a command cannot have.
    """
    if not text or any(character in text for character in "\n\r\0"):
        raise ImageError(f"the name {text!r} cannot be written to a disk")
    return '"' + text.replace('"', '""') + '"'


def _refused(what: str, answer: bytes) -> ImageError:
    told = shorten(answer.decode(errors="replace"), 300)
    hint = "free some space on the disk" if "allocate" in told or "space" in told else None
    return ImageError(f"cannot {what} of the guest: {told or 'no answer'}", hint=hint)
