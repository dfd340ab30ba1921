"""Copies by SFTP, for guests that lack tar or a shell: slower where there are many files."""

from __future__ import annotations

import posixpath
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import paramiko

from lago_sdk.adapters.landing import CHUNK
from lago_sdk.adapters.ssh.failures import FAILURES
from lago_sdk.errors import VMError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lago_sdk.adapters.landing import Landing, Parts
    from lago_sdk.adapters.pack import Item, Packer
    from lago_sdk.adapters.ssh.guest import SSHGuest


def probe(guest: SSHGuest, target: str, parent: str, names: Sequence[str]) -> str:
    """Return what a probe by the guest's shell would: no tar, and what the paths are."""
    with _open(guest) as client:
        paths = [target, parent, *(f"{target}/{name}" for name in names)]
        return "-" + "".join(_get_kind(client, path) for path in paths)


def look(guest: SSHGuest, paths: Sequence[str]) -> list[str]:
    """Return for each path what it is, its size and where it is; ``-`` for one that is missing."""
    fields = []
    with _open(guest) as client:
        for path in paths:
            kind = _get_kind(client, path)
            size = client.stat(path).st_size or 0 if kind == "f" else 0
            fields.append("-" if kind == "-" else f"{kind} {size} {client.normalize(path)}")
    return fields


def send(guest: SSHGuest, packer: Packer, directory: str) -> None:
    """Copy what *packer* would pack to a directory of the guest.

    Raises:
        VMError: The guest refuses.
        LagoError: A file cannot be read.
    """
    with _open(guest) as client:
        items = packer.list_items()
        for item in items:
            _send_item(client, packer, item, f"{directory}/{item.name}")
        for item in reversed(items):
            if stat.S_ISDIR(item.info.st_mode):
                _set_attributes(client, item, f"{directory}/{item.name}")


def receive(
    guest: SSHGuest,
    landings: Mapping[Parts, Landing],
    *,
    follow: bool,
    count: Callable[[int], None],
) -> None:
    """Fetch files and directories.

    Args:
        guest: Where from.
        landings: Where paths land, by their names from the root downwards.
        follow: Fetch what links lead to in their place.
        count: Told of the bytes that arrive.
    """
    with _open(guest) as client:
        for parts, landing in landings.items():
            path = "/" + "/".join(parts)
            _receive_item(client, path, client.stat(path), landing, (), follow=follow, count=count)
            landing.finish()


@contextmanager
def _open(guest: SSHGuest) -> Iterator[paramiko.SFTPClient]:
    with guest.session() as channel:
        try:
            channel.invoke_subsystem("sftp")
            with paramiko.SFTPClient(channel) as client:
                yield client
        except FAILURES as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            message = f"{guest.name!r} does not take or give files by SFTP: {reason}"
            hint = "it has no tar either: install tar or busybox in the guest"
            raise VMError(guest.name, message, hint=hint) from error


def _get_kind(client: paramiko.SFTPClient, path: str) -> str:
    try:
        mode = client.stat(path).st_mode or 0
    except OSError:
        return "-"
    return "d" if stat.S_ISDIR(mode) else "f"


def _send_item(client: paramiko.SFTPClient, packer: Packer, item: Item, path: str) -> None:
    mode = item.info.st_mode
    if stat.S_ISLNK(mode):
        if _exists(client, path):
            client.remove(path)
        client.symlink(item.link, path)
        return
    if stat.S_ISDIR(mode):
        if _get_kind(client, path) != "d":
            client.mkdir(path, stat.S_IRWXU)
        return
    unfinished = f"{posixpath.dirname(path)}/.lago-copy-{secrets.token_hex(4)}"
    try:
        with client.open(unfinished, "w") as file:
            file.set_pipelined(True)
            for chunk in packer.read_content(item):
                file.write(chunk)
        _set_attributes(client, item, unfinished)
        _replace(client, unfinished, path)
    except BaseException:
        with suppress(*FAILURES):
            client.remove(unfinished)
        raise


def _replace(client: paramiko.SFTPClient, new: str, path: str) -> None:
    """Rename a file over another, in one step where the server can."""
    try:
        client.posix_rename(new, path)
    except OSError:  # not one of OpenSSH's; the plain renaming needs a free name
        if _exists(client, path):
            client.remove(path)
        client.rename(new, path)


def _set_attributes(client: paramiko.SFTPClient, item: Item, path: str) -> None:
    client.chmod(path, stat.S_IMODE(item.info.st_mode))
    client.utime(path, (int(item.info.st_atime), int(item.info.st_mtime)))


def _exists(client: paramiko.SFTPClient, path: str) -> bool:
    try:
        client.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _receive_item(
    client: paramiko.SFTPClient,
    path: str,
    info: paramiko.SFTPAttributes,
    landing: Landing,
    parts: Parts,
    *,
    follow: bool,
    count: Callable[[int], None],
) -> None:
    mode = info.st_mode or 0
    if stat.S_ISDIR(mode):
        landing.add_directory(parts, stat.S_IMODE(mode), mtime=info.st_mtime)
        for entry in client.listdir_attr(path):
            below = f"{path}/{entry.filename}"
            found = client.stat(below) if follow else entry
            inner = (*parts, entry.filename)
            _receive_item(client, below, found, landing, inner, follow=follow, count=count)
    elif stat.S_ISLNK(mode):
        landing.add_link(parts, client.readlink(path) or "")
    elif stat.S_ISREG(mode):
        with client.open(path, "r") as file:
            file.prefetch(info.st_size)
            chunks = _read(file, count)
            landing.add_file(parts, chunks, mode=stat.S_IMODE(mode), mtime=info.st_mtime)
    else:
        landing.skip(parts, "a device, pipe or socket")


def _read(file: paramiko.SFTPFile, count: Callable[[int], None]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        count(len(chunk))
        yield chunk
