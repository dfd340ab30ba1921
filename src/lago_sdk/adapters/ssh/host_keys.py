"""The prefix's ``known_hosts``: which host key each guest has.

The format is OpenSSH's (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): one ``alias type base64`` a
line. We write one line an alias, so ``ssh -o HostKeyAlias=… -o UserKnownHostsFile=…`` agrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters import files
from lago_sdk.errors import HostKeyChangedError, SSHError

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

_LOCK_SECONDS = 10.0
"""Longest wait for another process that pins a key; pinning takes milliseconds."""
_SPECIAL = frozenset(" \t\r\n,*?!|#@[]")
"""Characters that mean something in the first field of a line."""


@attrs.frozen(kw_only=True)
class HostKey:
    """A public host key."""

    type: str
    """Its algorithm, for example ``ssh-ed25519``."""
    blob: str
    """The key itself in base64."""


def parse_public_line(line: str) -> HostKey:
    """Return the key of a public line: ``type base64 [comment]``.

    Raises:
        SSHError: The line is no public key.
    """
    fields = line.split()
    if len(fields) < 2 or not fields[1].startswith("AAAA"):
        raise SSHError(f"not a public key in OpenSSH's format: {line[:60]!r}")
    return HostKey(type=fields[0], blob=fields[1])


def find_host_key(path: Path, alias: str) -> HostKey | None:
    """Return the key that is pinned for *alias* in the file *path*, or ``None``.

    Raises:
        SSHError: The file cannot be read, or the line of *alias* is damaged.
    """
    for line in _read_lines(path):
        name, _, rest = line.partition(" ")
        if name == alias:
            return parse_public_line(rest)
    return None


def pin_host_key(path: Path, alias: str, public_line: str) -> None:
    """Record *public_line* as the host key of *alias*, in place of what was pinned before.

    Args:
        path: The ``known_hosts`` file; made where it is absent, its directory exists.
        alias: The guest's name in it.
        public_line: ``type base64 [comment]``.

    Raises:
        SSHError: *alias* or *public_line* cannot stand in such a file.
        LockedError: Another process holds the file for too long.
    """
    key = parse_public_line(public_line)
    _check_alias(alias)
    with _locked(path):
        others = [line for line in _read_lines(path) if line.partition(" ")[0] != alias]
        _write_lines(path, [*others, f"{alias} {key.type} {key.blob}"])


def check_host_key(path: Path, alias: str, shown: HostKey) -> None:
    """Hold the key that a guest has *shown* against the pinned one; pin it if it is the first.

    Raises:
        HostKeyChangedError: Another key is pinned.
        LockedError: Another process holds the file for too long.
    """
    pinned = find_host_key(path, alias)
    if pinned is None:
        pinned = _pin_first(path, alias, shown)
    if pinned != shown:
        raise HostKeyChangedError(
            f"the guest {alias!r} shows another host key ({shown.type}) than the one that is "
            f"pinned ({pinned.type})",
            hint=f"if it was reinstalled on purpose, remove the line of {alias!r} from {path}",
        )


def _pin_first(path: Path, alias: str, shown: HostKey) -> HostKey:
    """Pin *shown* unless somebody was quicker; returns what is pinned then."""
    _check_alias(alias)
    with _locked(path):
        pinned = find_host_key(path, alias)
        if pinned is None:
            _write_lines(path, [*_read_lines(path), f"{alias} {shown.type} {shown.blob}"])
        return pinned or shown


def _check_alias(alias: str) -> None:
    if not alias or _SPECIAL.intersection(alias):
        raise SSHError(f"{alias!r} cannot be the name of a guest in a known_hosts file")


def _locked(path: Path) -> contextlib.AbstractContextManager[None]:
    lock_path = path.with_name(f"{path.name}.lock")
    return files.lock(lock_path, timeout=_LOCK_SECONDS, purpose="pin a host key")


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SSHError(f"cannot read the host keys in {path}: {error}") from error


def _write_lines(path: Path, lines: list[str]) -> None:
    files.write_atomic(path, "".join(f"{line}\n" for line in lines), mode=0o600)
