"""Running one command over a channel, to its end or to a deadline."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.remote_command import Deadline, RemoteCommand
from lago_sdk.errors import SSHError
from lago_sdk.results import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import paramiko

    from lago_sdk.adapters.ssh.transport import Transport

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def add_environment(command: str, env: Mapping[str, str] | None) -> str:
    """Return *command* preceded by a line that exports *env*.

    Servers accept no variables by the protocol's own request, dropbear none at all.

    Raises:
        SSHError: A name or a value cannot be a shell's variable.
    """
    if not env:
        return command
    for name, value in env.items():
        if not _NAME.match(name) or "\0" in value:
            raise SSHError(f"{name!r} cannot be set as an environment variable in the guest")
    return "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items()) + "\n" + command


class RunningCommand(RemoteCommand):
    """A command whose output is kept until it ends."""

    def __init__(
        self,
        channel: paramiko.Channel,
        transport: Transport,
        *,
        guest: str,
        command: str,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> None:
        super().__init__(channel, transport, guest=guest, command=command)
        self._on_output = on_output
        self._capture = capture
        self._out = bytearray()
        self._err = bytearray()

    def finish(self, deadline: Deadline) -> CommandResult:
        """Collect the output until the command ends.

        Raises:
            CommandTimeoutError: The deadline passed.
            SSHError: The connection broke.
            Exception: What reading the input raised.
        """
        last_output = time.monotonic()
        while True:
            self._news.forget()
            ended = self._has_ended()  # asked before the look at the buffers: they are full then
            if self._drain():
                last_output = time.monotonic()
            if ended or self._is_over(last_output):
                break
            if not self._wait_for_news(deadline):
                raise self._timed_out(deadline, _decode(self._out), _decode(self._err))
        code = self._channel.exit_status
        if code < 0:
            raise self._lost()
        return CommandResult(
            command=self._command, code=code, out=_decode(self._out), err=_decode(self._err)
        )

    def _drain(self) -> bool:
        got = False
        while data := self._take_output():
            self._take("out", self._out, data)
            got = True
        while data := self._take_errors():
            self._take("err", self._err, data)
            got = True
        return got

    def _take(self, stream: str, kept: bytearray, data: bytes) -> None:
        if self._capture:
            kept += data
        if self._on_output is not None:
            self._on_output(stream, data)


def _decode(data: bytearray) -> str:
    return data.decode("utf-8", errors="replace")
