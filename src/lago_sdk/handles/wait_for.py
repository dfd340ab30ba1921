"""What can be waited for on one VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.guests.waiting import Wait
    from lago_sdk.state import VMState

TIMEOUT = 60.0
"""Seconds that most waits last at most unless told otherwise."""


class WaitFor:
    """Waits of one VM. Get it from ``vm.wait_for``.

    Every wait has a deadline, looks often at first (30 ms) and more rarely later (1 s at most),
    and returns as soon as it has happened. All raise `WaitTimeoutError` at the deadline, with
    the stage that was reached, what is known of the domain and its DHCP requests, and the last
    lines of the console; and `VMNotRunningError` as soon as the VM is off. What is looked at
    inside of the guest waits for ssh first, within the same deadline.
    """

    def __init__(self, vm: VMPlan, context: PrefixContext) -> None:
        self._vm = vm
        self._context = context

    def __repr__(self) -> str:
        """``<WaitFor of web>``."""
        return f"<WaitFor of {self._vm.name}>"

    def ssh(self, *, timeout: float | None = None) -> float:
        """Wait until a login works.

        Args:
            timeout: Seconds; ``boot_time_sec`` of the spec when ``None``.

        Returns:
            The seconds it took.

        Raises:
            SSHError: Waiting is no use: another host key than the pinned one.
        """
        from lago_sdk.service.guests.looks import require_running
        from lago_sdk.service.guests.reach import boot_timeout, wait_for_ssh

        require_running(self._vm, self._context)
        seconds = boot_timeout(self._vm, self._context.world.config)
        return wait_for_ssh(
            self._vm,
            context=self._context,
            timeout=seconds if timeout is None else timeout,
            give_up=lambda: None,
        )

    def port(self, number: int, *, address: str | None = None, timeout: float = TIMEOUT) -> float:
        """Wait until something accepts connections at a TCP port of the guest.

        Args:
            number: The port.
            address: One of the guest's addresses; that on the management net when ``None``.
            timeout: Seconds.

        Returns:
            The seconds it took.
        """
        from lago_sdk.service.guests.looks import get_dial_address, look_at_port

        target = get_dial_address(self._vm, address)
        wait = self._begin(f"port {number} open", timeout)
        wait.until(lambda: look_at_port(self._vm, target, number, wait, self._context))
        return wait.seconds

    def unit(self, name: str, *, timeout: float = TIMEOUT) -> float:
        """Wait until a service is active: a unit of systemd, an init script, a container.

        Returns:
            The seconds it took.

        Raises:
            ServiceError: Nothing that we know manages services in the guest.
        """
        from lago_sdk.service.guests.looks import look_at_unit

        wait = self._begin(f"service {name} active", timeout)
        wait.log_in()
        wait.until(lambda: look_at_unit(self._vm, name, wait, self._context))
        return wait.seconds

    def file(self, path: str, *, timeout: float = TIMEOUT) -> float:
        """Wait until the guest has a file (or directory) at *path*; returns the seconds."""
        from lago_sdk.service.guests.looks import look_at_file

        wait = self._begin(f"file {path}", timeout)
        wait.log_in()
        wait.until(lambda: look_at_file(path, wait))
        return wait.seconds

    def log(self, path: str, pattern: str | re.Pattern[str], *, timeout: float = TIMEOUT) -> str:
        """Wait until a log of the guest has a line that *pattern* is found in; returns it.

        Args:
            path: The log; it need not be there yet, and may be rotated meanwhile.
            pattern: Regular expression; lines that are there already count.
            timeout: Seconds.
        """
        from lago_sdk.service.guests.looks import LogLook, compile_pattern

        compiled = compile_pattern(pattern)
        wait = self._begin(f"a line with {compiled.pattern!r} in {path}", timeout)
        wait.log_in()
        return wait.until(LogLook(path, compiled, wait))

    def command(self, command: str, *, timeout: float = TIMEOUT) -> CommandResult:
        """Wait until a command of the guest's shell exits with 0; returns its result.

        It is run over and over, so it should only look.
        """
        from lago_sdk.service.guests.looks import look_at_command

        wait = self._begin(f"success of {command!r}", timeout)
        wait.log_in()
        return wait.until(lambda: look_at_command(command, wait))

    def agent(self, *, timeout: float = TIMEOUT) -> float:
        """Wait until the QEMU guest agent answers; returns the seconds it took."""
        from lago_sdk.service.guests.looks import look_at_agent

        wait = self._begin("an answer of the guest agent", timeout)
        wait.until(lambda: look_at_agent(self._vm, self._context))
        return wait.seconds

    def cloud_init(self, *, timeout: float = 300.0) -> float:
        """Wait until cloud-init has come to its end; returns the seconds it took.

        Raises:
            VMError: It ended with errors, is disabled, or is not in the guest.
        """
        from lago_sdk.service.guests.looks import look_at_cloud_init

        wait = self._begin("the end of cloud-init", timeout)
        wait.log_in()
        wait.until(lambda: look_at_cloud_init(self._vm, wait))
        return wait.seconds

    def console(self, pattern: str | re.Pattern[str], *, timeout: float = TIMEOUT) -> str:
        """Wait until the guest has written a line to its console that *pattern* is found in.

        Args:
            pattern: Regular expression; all that was written since the VM's start counts.
            timeout: Seconds.

        Returns:
            The line.
        """
        from lago_sdk.service.guests.looks import compile_pattern, look_at_console

        compiled = compile_pattern(pattern)
        log = self._context.layout.path / self._vm.console_log
        wait = self._begin(f"a line with {compiled.pattern!r} on the console", timeout)
        return wait.until(lambda: look_at_console(log, compiled))

    def state(self, state: VMState, *, timeout: float = TIMEOUT) -> float:
        """Wait until the VM is in *state*, as after a guest was told to power off.

        Returns:
            The seconds it took.
        """
        from lago_sdk.service.guests.looks import look_at_state
        from lago_sdk.service.guests.waiting import Wait

        wait = Wait(self._vm, f"state {state.value!r}", timeout=timeout, context=self._context)
        wait.until(lambda: look_at_state(self._vm, state, self._context), only_alive=False)
        return wait.seconds

    def _begin(self, what: str, timeout: float) -> Wait:
        from lago_sdk.service.guests.looks import require_running
        from lago_sdk.service.guests.waiting import Wait

        require_running(self._vm, self._context)
        return Wait(self._vm, what, timeout=timeout, context=self._context)
