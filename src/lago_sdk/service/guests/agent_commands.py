"""Commands in a guest, run by its agent.

A command writes into files on a tmpfs of the guest, which are fetched when it has ended (or when
time is up): what the agent itself captures must fit into one message of libvirt, or the agent is
lost, see `agent_files`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import attrs

from lago_sdk.errors import CommandTimeoutError, LagoError
from lago_sdk.results import CommandResult, Road
from lago_sdk.service.guests.agent_files import find_file, write_file
from lago_sdk.service.guests.agent_processes import run_script, start_process, wait_process
from lago_sdk.service.guests.shell_text import join_command, render_exports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.service.guests.agent import AgentLink

_DIRECTORIES = ("/dev/shm", "/run", "/tmp")  # noqa: S108 - the guest's
"""Where output may be kept, the first that can be written to; a full disk does not matter."""
_SMALL_INPUT = 32 << 10
"""Bytes of input that go with the request; more is written to a file first."""


@attrs.frozen(kw_only=True)
class _Place:
    """Files of one command in the guest."""

    stem: str

    @property
    def out(self) -> str:
        return f"{self.stem}.out"

    @property
    def err(self) -> str:
        return f"{self.stem}.err"

    @property
    def input(self) -> str:
        return f"{self.stem}.in"


def run_command(
    link: AgentLink,
    command: str | Sequence[str],
    *,
    input: bytes | None = None,  # noqa: A002 - the name subprocess uses
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run *command* in the guest by its agent, as root, and wait for its end.

    Args:
        link: The agent.
        command: Text for ``sh -c``, or a list of arguments.
        input: What it reads; nothing when ``None``.
        timeout: Seconds it may take; for ever when ``None``. Then it is sent SIGTERM.
        env: Variables set for it.

    Raises:
        CommandTimeoutError: It did not end in time; carries its output so far.
        AgentError: The agent is not there, does not answer, or may not run commands.
        LagoError: A variable cannot be set.
    """
    text = join_command(command)
    body = render_exports(env) + (text if isinstance(command, str) else f"exec {text}")
    place = _choose_place(link)
    head = f"exec > {place.out} 2> {place.err}"
    data = input
    if input is not None and len(input) > _SMALL_INPUT:
        write_file(link, place.input, input, mode=0o600)
        head, data = f"{head} < {place.input}", None
    try:
        pid = start_process(link, f"umask 077; {head}; umask 022\n{body}", data)
        ended = _wait_or_end(link, pid, timeout)
        out, err = (_fetch(link, path) for path in (place.out, place.err))
    finally:
        _forget(link, f"rm -f {place.stem}.*")
    if ended is None:
        message = f"{link.vm.name}: {text!r} did not end within {timeout or 0:g} s (by its agent)"
        raise CommandTimeoutError(message, command=text, out=out, err=err)
    return CommandResult(command=text, code=ended, out=out, err=err, via=Road.AGENT)


def _choose_place(link: AgentLink) -> _Place:
    """Return where the files of a command go; found once for each link."""
    if link.scratch is None:
        tests = "; ".join(f"[ -w {path} ] && exit {n}" for n, path in enumerate(_DIRECTORIES))
        number = run_script(link, f"{tests}; exit {len(_DIRECTORIES)}", timeout=60.0)
        if number is None or not 0 <= number < len(_DIRECTORIES):
            where = ", ".join(_DIRECTORIES)
            raise link.error(f"the guest lets nothing be written to any of {where}")
        link.scratch = _DIRECTORIES[number]
    return _Place(stem=f"{link.scratch}/.lago-{uuid4().hex}")


def _fetch(link: AgentLink, path: str) -> str:
    return (find_file(link, path) or b"").decode(errors="replace")


def _wait_or_end(link: AgentLink, pid: int, timeout: float | None) -> int | None:
    """Wait for the end of a process, and see to it where the wait is given up."""
    ended = None
    try:
        ended = wait_process(link, pid, timeout)
    finally:
        if ended is None:
            _forget(link, f"pkill -TERM -P {pid}; kill -TERM {pid}")
    return ended


def _forget(link: AgentLink, script: str) -> None:
    """Have the guest clean up by *script*; nobody waits for that."""
    try:
        start_process(link, script, None)
    except LagoError:
        return  # the guest is off, or hangs: what it keeps in memory is lost anyway
