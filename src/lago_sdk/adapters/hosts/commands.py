"""Runs a command in the networks of a private host, through its supervisor."""

from __future__ import annotations

import os
import selectors
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from lago_sdk.adapters.hosts.control import Connection
from lago_sdk.errors import ToolError
from lago_sdk.results import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK = 65536


def run_command(
    path: Path,
    argv: Sequence[str],
    *,
    program: str,
    env: Mapping[str, str],
    timeout: float | None,
) -> CommandResult:
    """Run a command to its end; what it leaves in the background does not delay us.

    Args:
        path: The supervisor's control socket.
        argv: The command, as the result and errors show it.
        program: Absolute path of ``argv[0]``.
        env: The command's whole environment.
        timeout: Seconds after which it is killed, with its process group.

    Raises:
        HostError: The supervisor is not there or could not start the command.
        ToolError: No end within *timeout* seconds.
    """
    request: dict[str, object] = {"do": "run", "argv": [program, *argv[1:]], "env": dict(env)}
    with ExitStack() as stack:
        connection = stack.enter_context(Connection(path))
        outputs, inherited = _open_pipes(stack)
        connection.send(request, inherited)
        _close_all(inherited)
        collected = {descriptor: bytearray() for descriptor in outputs}
        deadline = None if timeout is None else time.monotonic() + timeout
        if not _collect(connection, collected, deadline):
            raise ToolError(argv, -9, f"no end after {timeout} s")
        code = connection.receive()[0]["code"]
        _drain(collected)
    assert isinstance(code, int)
    out, err = (bytes(collected[descriptor]).decode(errors="replace") for descriptor in outputs)
    return CommandResult(command=" ".join(argv), code=code, out=out, err=err)


def _open_pipes(stack: ExitStack) -> tuple[list[int], list[int]]:
    """Our ends of two pipes, and what the command shall have as 0, 1 and 2."""
    inherited = [os.open(os.devnull, os.O_RDONLY)]
    outputs = []
    stack.callback(_close_all, inherited)
    for _ in range(2):
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        os.set_blocking(reader, False)
        outputs.append(reader)
        inherited.append(writer)
    return outputs, inherited


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _collect(
    connection: Connection, collected: Mapping[int, bytearray], deadline: float | None
) -> bool:
    """Read output until the command has ended (true) or *deadline* has passed (false)."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        for descriptor in collected:
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            for key, _ in selector.select(left):
                if key.fileobj is connection:
                    return True
                if not _read(key.fd, collected[key.fd]):
                    selector.unregister(key.fd)


def _drain(collected: Mapping[int, bytearray]) -> None:
    for descriptor, data in collected.items():
        while _read(descriptor, data):
            pass


def _read(descriptor: int, data: bytearray) -> bool:
    """Append what is there; false at the end of the pipe, or when nothing is there."""
    try:
        chunk = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return False
    data += chunk
    return bool(chunk)
