"""Files of a guest, read and written by its agent.

Messages stay small: libvirt gives an agent up for good whose answer exceeds 10 MiB, and an agent
under emulation chews for seconds on a request of a megabyte.
"""

from __future__ import annotations

import base64
import shlex
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lago_sdk.errors import AgentError, LagoError
from lago_sdk.service.guests.agent_processes import run_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.ports.agent import JSON
    from lago_sdk.service.guests.agent import AgentLink

_READ_CHUNK = 1 << 20
_WRITE_CHUNK = 48 << 10
_CHUNK_SECONDS = 60.0
_PREPARE_SECONDS = 60.0
"""For the agent to carry a chunk, and to make a file ready."""


def read_file(link: AgentLink, path: str) -> bytes:
    """Return the content of a file, however large.

    Raises:
        AgentError: It cannot be read.
    """
    with _opened(link, path, "r") as handle:
        return b"".join(_read_chunks(link, handle))


def find_file(link: AgentLink, path: str) -> bytes | None:
    """Return the content of a file, or ``None`` where it cannot be read."""
    with suppress(AgentError):
        return read_file(link, path)
    return None


def write_file(link: AgentLink, path: str, data: bytes, *, mode: int | None = None) -> None:
    """Replace the content of a file, or make it.

    Args:
        link: The agent.
        path: The file; its directory exists.
        data: Its new content.
        mode: Permission bits, set before anything is written. Without them a file that is
            there keeps its own, and a new one gets 0644.

    Raises:
        AgentError: It cannot be written.
    """
    # The agent itself makes files that everybody may write to.
    quoted = shlex.quote(path)
    script = f"umask 022; [ -e {quoted} ] || : > {quoted}"
    if mode is not None:
        script = f"umask 077; [ -e {quoted} ] || : > {quoted} && chmod {mode:o} {quoted}"
    code = run_script(link, script, timeout=_PREPARE_SECONDS)
    if code != 0:
        raise link.error(f"{path!r} cannot be written in the guest", hint="see its directory")
    with _opened(link, path, "w") as handle:
        for start in range(0, len(data), _WRITE_CHUNK):
            _write_chunk(link, handle, data[start : start + _WRITE_CHUNK])
        link.ask("guest-file-flush", {"handle": handle})


@contextmanager
def _opened(link: AgentLink, path: str, how: str) -> Iterator[int]:
    handle = link.ask("guest-file-open", {"path": path, "mode": how})
    if not isinstance(handle, int):
        raise link.error(f"the guest agent gave no handle for {path!r}")
    try:
        yield handle
    finally:
        with suppress(LagoError):
            link.ask("guest-file-close", {"handle": handle})


def _read_chunks(link: AgentLink, handle: int) -> Iterator[bytes]:
    arguments: dict[str, JSON] = {"handle": handle, "count": _READ_CHUNK}
    while True:
        found = link.ask("guest-file-read", arguments, timeout=_CHUNK_SECONDS)
        answer = found if isinstance(found, dict) else {}
        chunk = base64.b64decode(str(answer.get("buf-b64", "")))
        yield chunk
        if not chunk or answer.get("eof"):
            return


def _write_chunk(link: AgentLink, handle: int, data: bytes) -> None:
    while data:
        text = base64.b64encode(data).decode()
        arguments: dict[str, JSON] = {"handle": handle, "buf-b64": text}
        found = link.ask("guest-file-write", arguments, timeout=_CHUNK_SECONDS)
        count = found.get("count") if isinstance(found, dict) else None
        if not isinstance(count, int) or count <= 0:
            raise link.error("the guest agent writes nothing", hint="is the disk full?")
        data = data[count:]
