"""The handle of the serial console of one VM."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.guests.console import ConsoleSession
    from lago_sdk.service.guests.console_log import LogReader


class Console:
    """The serial console of a VM. Get it from ``vm.console``.

    A console has room for one user: the others are told who that is, by a `ConsoleError`. Its
    log is written in any case, and may be read by any number.
    """

    def __init__(self, vm: VMPlan, context: PrefixContext) -> None:
        self._vm = vm
        self._context = context
        self._reader: LogReader | None = None

    def __repr__(self) -> str:
        """``<Console of web>``."""
        return f"<Console of {self._vm.name}>"

    @property
    def log(self) -> Path:
        """File with everything that the guest wrote to its console."""
        return self._context.layout.path / self._vm.console_log

    def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        force: bool = False,
    ) -> CommandResult:
        """Run a command by the shell on the console, and wait for its end.

        Where the console asks for a login, root logs in with the ``root-password`` of the init
        file, and stays logged in. Output comes whole, whatever the kernel writes in between; it
        comes when it is complete, at some 10 to 100 kB a second.

        Args:
            command: Text for ``sh -c``, or a list of arguments.
            input: What the command reads; nothing when ``None``. It is typed: keep it small.
            timeout: Seconds that everything may take, a login included. Then the command is
                interrupted by Control-C, and its output is lost.
            env: Variables set for the command.
            force: Take the console from whoever is there.

        Raises:
            CommandTimeoutError: No end within *timeout*.
            ConsoleError: Somebody else is there, a password is missing, or nobody obeys.
            VMNotRunningError: The VM is off.
        """
        from lago_sdk.service.guests.console_commands import run_command

        data = input.encode() if isinstance(input, str) else input
        with self._open("run a command", force=force) as session:
            return run_command(session, command, input=data, timeout=timeout, env=env)

    @contextmanager
    def session(self, *, force: bool = False) -> Iterator[ConsoleSession]:
        """Sit at the console for the block, to type and to wait for what is shown.

        Args:
            force: Take the console from whoever is there.

        Raises:
            ConsoleError: Somebody else is there.
            VMNotRunningError: The VM is off.
        """
        with self._open("hold a session", force=force) as session:
            yield session

    def send(self, text: str, *, force: bool = False) -> None:
        r"""Type *text* at the console; ``"\r"`` is the Enter key.

        The next `expect` finds what is shown from now on.

        Raises:
            ConsoleError: Somebody else is there.
            VMNotRunningError: The VM is off.
        """
        with self._open("type", force=force) as session:
            self._reader = self._open_log()
            session.send(text)
            session.let_arrive(text)

    def expect(self, pattern: str, timeout: float = 30.0) -> re.Match[str]:
        r"""Wait until the console shows *pattern*, after the last `send` or `expect`.

        Without one before, everything from now on counts. It looks at the log, so somebody
        else may be at the console.

        Args:
            pattern: A regular expression; ``^`` and ``$`` mean lines.
            timeout: Seconds to wait at most.

        Raises:
            WaitTimeoutError: It was not shown in time; carries the console's last lines.
        """
        from lago_sdk.service.guests.console_log import expect

        if self._reader is None:
            self._reader = self._open_log()
        return expect(self._reader, self._vm, self._context, pattern, timeout=timeout)

    def follow(self, *, from_start: bool = False) -> Iterator[str]:
        """Yield the lines that the guest writes to its console, until the VM goes off.

        Args:
            from_start: Begin with everything that the log holds.

        Raises:
            LagoError: The log cannot be read.
        """
        from lago_sdk.service.guests.console_log import follow

        return follow(self._vm, self._context, from_start=from_start)

    def attach(self, *, force: bool = False) -> None:
        """Attach this terminal to the console, until ``^]`` is pressed or the VM goes off.

        Args:
            force: Take the console from whoever is there.

        Raises:
            ConsoleError: Somebody else is there, or took it over.
            LagoError: Standard input is not a terminal.
            VMNotRunningError: The VM is off.
        """
        from lago_sdk.service.guests.console import attach

        attach(self._vm, self._context, force=force)

    @contextmanager
    def _open(self, purpose: str, *, force: bool) -> Iterator[ConsoleSession]:
        from lago_sdk.service.guests.console import open_session

        with open_session(self._vm, self._context, purpose=purpose, force=force) as session:
            yield session

    def _open_log(self) -> LogReader:
        from lago_sdk.service.guests.console_log import LogReader

        return LogReader(self.log, from_start=False)
