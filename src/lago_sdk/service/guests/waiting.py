"""Waiting for something in or of a running VM: when to look again, and what to tell at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lago_sdk.errors import CommandTimeoutError, SSHError, WaitTimeoutError
from lago_sdk.service.guests.reach import check_alive, describe_vm, read_last_lines, wait_for_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext

Result = TypeVar("Result")

_SHORTEST_PAUSE = 0.03
_LONGEST_PAUSE = 1.0
_LATENESS = 0.1
"""The share of the time waited by which the end of the wait may be noticed late."""


class NotYet(Exception):  # noqa: N818 - it tells a fact, not an error
    """What is waited for has not happened.

    Attributes:
        stage: How far it has come, for example ``"the unit is inactive"``.
        hint: What may help, or ``None``.
        is_cut: Whether the look was cut off by the deadline, so that an earlier one knew more.
    """

    def __init__(self, stage: str, *, hint: str | None = None, is_cut: bool = False) -> None:
        super().__init__(stage)
        self.stage = stage
        self.hint = hint
        self.is_cut = is_cut


class Wait:
    """One wait for something of a VM.

    Args:
        vm: The VM.
        what: What is waited for, as the subject of "did not happen": ``"port 80 open"``.
        timeout: Seconds to wait at most.
        context: The VM's prefix.
    """

    def __init__(self, vm: VMPlan, what: str, *, timeout: float, context: PrefixContext) -> None:
        self._vm = vm
        self._what = what
        self._timeout = timeout
        self._context = context
        self._clock = context.world.clock
        self._begin = self._clock.monotonic()

    @property
    def seconds(self) -> float:
        """How long has been waited."""
        return self._clock.monotonic() - self._begin

    @property
    def left(self) -> float:
        """Seconds until the deadline; 0 when it has passed."""
        return max(self._timeout - self.seconds, 0.0)

    def log_in(self) -> None:
        """Wait until a login works, which everything inside a guest needs.

        Raises:
            WaitTimeoutError: It does not before the deadline.
        """
        try:
            wait_for_ssh(self._vm, context=self._context, timeout=self.left, give_up=lambda: None)
        except WaitTimeoutError as error:
            raise self._timed_out(f"ssh: {error.stage}", error.hint) from error

    def run(self, command: str) -> CommandResult:
        """Run a command in the guest, for a look that must not outlast the deadline.

        Raises:
            NotYet: The guest does not answer, or not in time.
        """
        guest = self._context.guests.get(self._vm)
        try:
            return guest.run(command, timeout=max(self.left, _SHORTEST_PAUSE))
        except CommandTimeoutError as error:
            raise NotYet(f"{command!r} still runs", hint=error.hint, is_cut=True) from error
        except SSHError as error:
            raise NotYet(f"ssh: {error.message}", hint=error.hint) from error

    def until(self, look: Callable[[], Result], *, only_alive: bool = True) -> Result:
        """Call *look* until it returns, and return what it returned.

        Args:
            look: Raises `NotYet` as long as it has not happened.
            only_alive: Give up as soon as the VM is off.

        Raises:
            WaitTimeoutError: The deadline has passed; with the stage of the last look.
            VMNotRunningError: The VM is off, so that waiting is no use.
        """
        seen: NotYet | None = None
        while True:
            try:
                return look()
            except NotYet as last:
                if only_alive:
                    check_alive(self._vm, self._context)
                seen = seen if seen is not None and last.is_cut else last
                if self.left <= 0:
                    raise self._timed_out(seen.stage, seen.hint) from last
            pause = min(max(_LATENESS * self.seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            self._clock.sleep(min(pause, self.left))

    def _timed_out(self, stage: str, hint: str | None) -> WaitTimeoutError:
        log = self._context.layout.path / self._vm.console_log
        known = describe_vm(self._vm, self._context)
        return WaitTimeoutError(
            f"{self._vm.name}: {self._what} did not happen within {self._timeout:g} s ({known})",
            stage=stage,
            console=read_last_lines(log),
            hint=hint or f"all that it wrote to its console is in {log}",
        )
