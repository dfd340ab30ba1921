"""Commands in a guest, by all roads, and what is waited for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.handles.agent import Agent
from lago_sdk.handles.console import Console
from lago_sdk.handles.lines import GuestLines
from lago_sdk.handles.service import Service
from lago_sdk.handles.wait_for import WaitFor
from lago_sdk.results import Road
from lago_sdk.service.guests.scripts import list_script_command
from lago_sdk.service.guests.shell_text import join_command
from lago_sdk.vm.base import VMBase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lago_sdk.ports import Readable
    from lago_sdk.results import CommandResult


class VMShell(VMBase):
    """Verbs that work inside of a guest."""

    def ssh(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run a command in the guest and wait for its end.

        Args:
            command: Text for the guest's shell, or a list of arguments, which is quoted.
            input: What the command reads: text, bytes or a binary file of any size, which is read
                while the command reads; nothing when ``None``.
            timeout: Seconds it may take; for ever when ``None``.
            env: Variables set for the command.
            on_output: Called with ``"out"`` or ``"err"`` and bytes, as output arrives.
            capture: Whether the result has the output; without, *on_output* alone gets it, and
                output of any size needs no memory.

        Returns:
            Its exit code and output; ``.check()`` raises when the code is not 0.

        Raises:
            VMNotRunningError: The VM is not running.
            CommandTimeoutError: No end within *timeout*.
            SSHError: The connection failed.
        """
        return self._prefix.reach(self.name).run(
            join_command(command),
            input=input.encode() if isinstance(input, str) else input,
            timeout=timeout,
            env=env,
            on_output=on_output,
            capture=capture,
        )

    def ssh_lines(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> GuestLines:
        """Run a command in the guest and go through the lines of its output as they come.

        A command whose lines nobody wants any more is ended::

            for line in web.ssh_lines("tail -f /var/log/messages"):
                if "ready" in line:
                    break

        Args:
            command: Text for the guest's shell, or a list of arguments, which is quoted.
            input: What the command reads, as for `ssh`.
            timeout: Seconds it may take; for ever when ``None``.
            env: Variables set for the command.
            check: Whether a command that fails raises after its last line.

        Returns:
            An iterator over text without line ends. It can be closed, is a context manager, and
            has ``code`` and ``err`` at the end.

        Raises:
            VMNotRunningError: The VM is not running.
            SSHError: The connection failed.
        """
        guest = self._prefix.reach(self.name)
        data = input.encode() if isinstance(input, str) else input
        stream = guest.stream(join_command(command), input=data, timeout=timeout, env=env)
        return GuestLines(stream, check=check)

    def run(
        self,
        command: str | Sequence[str],
        *,
        via: Road | str = Road.AUTO,
        input: bytes | str | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in the guest by whatever road leads there, and wait for its end.

        ``auto`` takes ssh where that answers within 5 s, else the guest agent where there is
        one, else a shell on the serial console: a guest whose network is broken can still be
        looked into. A command that was begun is never begun again on another road.

        Args:
            command: Text for the guest's shell, or a list of arguments.
            via: ``auto``, ``ssh``, ``agent`` or ``console``, or a `Road`.
            input: What the command reads; nothing when ``None``.
            timeout: Seconds it may take, once a road was found; for ever when ``None``, but 60 s
                on the console.
            env: Variables set for the command.

        Returns:
            Its exit code and output; its ``via`` is the road it took.

        Raises:
            VMNotRunningError: The VM is not running.
            VMError: No road leads there; tells what is wrong with each.
            CommandTimeoutError: No end within *timeout*.
        """
        from lago_sdk.service.guests.roads import run

        data = input.encode() if isinstance(input, str) else input
        context = self._prefix.context
        return run(self._plan, context, command, via=via, input=data, timeout=timeout, env=env)

    def ssh_script(
        self,
        path: str | Path,
        *arguments: str,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run a script of the host in the guest, by the interpreter of its ``#!`` line.

        Args:
            path: The script.
            arguments: Its arguments.
            timeout: Seconds it may take.
            env: Variables set for it.
            on_output: Called with its output as it arrives, as for `ssh`.
            capture: Whether the result has the output, as for `ssh`.

        Raises:
            OSError: The script cannot be read.
            VMNotRunningError: The VM is not running.
        """
        script = Path(path).read_bytes()
        command = [*list_script_command(script), *arguments]
        return self.ssh(
            command, input=script, timeout=timeout, env=env, on_output=on_output, capture=capture
        )

    def interactive_ssh(self, command: str | None = None) -> int:
        """Attach this terminal to a shell (or *command*) in the guest; returns its exit code."""
        return self._prefix.reach(self.name).interact(command)

    @cached_property
    def agent(self) -> Agent:
        """Its QEMU guest agent: commands, files and more without a network."""
        return Agent(self._plan, self._prefix.context)

    @cached_property
    def console(self) -> Console:
        """Its serial console: commands, text, and the log of all that was written there."""
        return Console(self._plan, self._prefix.context)

    @property
    def console_log(self) -> Path:
        """File with everything that the guest wrote to its console."""
        return self._prefix.path / self._plan.console_log

    def interactive_console(self, *, force: bool = False) -> int:
        """Attach this terminal to the serial console, until ``^]`` or until the VM goes off.

        Args:
            force: Take the console from whoever is there.

        Returns:
            0: a console has no exit code.

        Raises:
            ConsoleError: Somebody else is there, or took it over.
            LagoError: Standard input is not a terminal.
            VMNotRunningError: The VM is not running.
        """
        self.console.attach(force=force)
        return 0

    def service(self, name: str) -> Service:
        """Return the handle of a service of the guest; nothing is asked yet.

        Args:
            name: A unit of systemd, an init script, or ``CONTAINER`` or ``CONTAINER/UNIT``.
        """
        return Service(name, self._plan, run=self.ssh, context=self._prefix.context)

    @property
    def wait_for(self) -> WaitFor:
        """What can be waited for, for example ``vm.wait_for.port(80)``."""
        return WaitFor(self._plan, self._prefix.context)
