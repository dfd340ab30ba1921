"""The ``ssh_config`` of a prefix: how OpenSSH's programs, and who reads their files, log in.

Source: ssh_config(5) of OpenSSH 9.2. Words stand in double quotes, within which a backslash
escapes (since 8.7); ``%`` begins a token and is doubled; ``ProxyCommand`` takes the rest of the
line for the user's shell. ``${NAME}`` in a path is a variable, for which there is no escape.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PLAIN = re.compile(r"[\w/.:@+,=-]+", re.ASCII)
_UNWRITABLE = re.compile(r"[\n\r\0]|\$\{")

_HEAD = """\
# Logs in to the VMs of one prefix: ssh -F {path} VM
# Written by lago_sdk at each start: changes are lost.
"""


@attrs.frozen(kw_only=True)
class SSHHost:
    """How to log in to one guest."""

    aliases: tuple[str, ...]
    """What it may be called: its name first."""
    address: str
    port: int = 22
    user: str
    key_path: str
    known_hosts: str
    host_key_alias: str
    """Its name in *known_hosts*."""
    is_pinned: bool
    """Whether its host key is on record; the first one seen is recorded otherwise."""
    proxy: tuple[str, ...] = ()
    """Command that connects to it; empty where this machine's routes lead there."""
    passes_socket: bool = True
    """Whether *proxy* hands over a connected socket; it relays bytes otherwise."""


def render_ssh_config(hosts: Iterable[SSHHost], *, path: str) -> str:
    """Return the text of the file *path*, with a section for each of *hosts*.

    Raises:
        LagoError: A path has a line break or ``${`` in it, which such files cannot hold.
    """
    if _UNWRITABLE.search(path):
        raise _refuse(path)
    head = _HEAD.format(path=shlex.quote(path))
    return "\n".join([head, *(_render_host(host) for host in hosts)])


def _render_host(host: SSHHost) -> str:
    lines = [f"Host {' '.join(host.aliases)}"]
    lines += [f"    {name} {value}" for name, value in _list_options(host)]
    return "".join(f"{line}\n" for line in lines)


def _list_options(host: SSHHost) -> Iterator[tuple[str, str]]:
    yield "HostName", _word(host.address)
    yield "Port", str(host.port)
    yield "User", _word(host.user, has_tokens=False)
    yield "IdentityFile", _word(host.key_path)
    yield "IdentitiesOnly", "yes"
    yield "HostKeyAlias", host.host_key_alias
    yield "UserKnownHostsFile", _word(host.known_hosts)
    yield "GlobalKnownHostsFile", "none"
    # A hashed line could be read by OpenSSH only.
    yield "HashKnownHosts", "no"
    yield "StrictHostKeyChecking", "yes" if host.is_pinned else "accept-new"
    if host.proxy:
        yield "ProxyCommand", _command(host.proxy)
        yield "ProxyUseFdpass", "yes" if host.passes_socket else "no"


def _word(text: str, *, has_tokens: bool = True) -> str:
    """Return *text* as one word of a line."""
    if _UNWRITABLE.search(text):
        raise _refuse(text)
    if has_tokens:
        text = text.replace("%", "%%")
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _command(words: tuple[str, ...]) -> str:
    """Return *words* for the user's shell."""
    line = shlex.join(words)
    if "\n" in line or "\r" in line:
        raise _refuse(line)
    return line.replace("%", "%%")


def _refuse(text: str) -> LagoError:
    message = f"{text!r} cannot stand in an ssh_config: it has a line break or '${{' in it"
    return LagoError(message, hint="keep the prefix in a directory with a plainer name")
