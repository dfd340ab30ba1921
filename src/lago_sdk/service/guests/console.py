"""The serial console of a VM: one user at a time, and what they say to each other there."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import (
    ConsoleError,
    HypervisorError,
    LockedError,
    VMNotRunningError,
    WaitTimeoutError,
)
from lago_sdk.ports.consoles import ConsoleBusyError
from lago_sdk.service.observing.running import check_running, get_hypervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import ConsoleStream, Hypervisor
    from lago_sdk.service.context import PrefixContext

_NOTICE_SECONDS = 1.5
"""QEMU looks once a second whether somebody has come to a console."""
_LONGEST_READ = 0.5
_KEPT = 8192
"""Characters that were shown last and are kept for explanations."""
_EXPLAINED_LINES = 12
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What terminals obey and people do not read."""


class ConsoleSession:
    """Somebody at the console of a VM: types, and waits for what is shown.

    Get one from ``vm.console.session()``. What is shown is read as UTF-8 with replacement
    characters; it contains what is typed, because guests echo it.
    """

    def __init__(self, vm: VMPlan, context: PrefixContext, stream: ConsoleStream) -> None:
        self.vm = vm
        self.clock = context.world.clock
        self._context = context
        self._stream = stream
        self._shown = ""
        self._last = ""

    def send(self, text: str) -> None:
        r"""Type *text*; ``"\r"`` is the Enter key.

        Raises:
            ConsoleError: The console was taken over by somebody else.
            VMNotRunningError: The VM went off.
        """
        with self._telling():
            self._stream.write(text.encode())

    def expect(self, pattern: str | re.Pattern[str], timeout: float = 30.0) -> re.Match[str]:
        """Wait until *pattern* is found in what was shown since the last match.

        Args:
            pattern: A regular expression; ``^`` and ``$`` mean lines in one that is text.
            timeout: Seconds to wait at most.

        Raises:
            WaitTimeoutError: It was not shown in time; carries the last lines that were.
            ConsoleError: The console was taken over by somebody else.
            VMNotRunningError: The VM went off.
        """
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        found = self.wait(lambda: wanted.search(self._shown), timeout)
        if found is None:
            message = f"{self.vm.name}: its console did not show {wanted.pattern!r}"
            raise self.timed_out(f"{message} within {timeout:g} s")
        self._shown = self._shown[found.end() :]
        return found

    def read(self, timeout: float) -> str:
        """Return all that was shown and not matched yet, once there is some; else nothing.

        Raises:
            ConsoleError: The console was taken over by somebody else.
            VMNotRunningError: The VM went off.
        """
        if not self._shown:
            self._take(timeout)
        shown, self._shown = self._shown, ""
        return shown

    def let_arrive(self, text: str) -> None:
        """Wait until the guest has *text*, which was typed: until it is echoed, if it is."""
        echo = re.compile(re.escape(text.strip()) or r"\Z(?!)")
        self.wait(lambda: echo.search(self._shown), _NOTICE_SECONDS)

    def wait(
        self, find: Callable[[], re.Match[str] | None], timeout: float
    ) -> re.Match[str] | None:
        """Take what is shown until *find* finds something or time is up."""
        end = self.clock.monotonic() + timeout
        while True:
            found = find()
            left = end - self.clock.monotonic()
            if found is not None or left <= 0:
                return found
            self._take(min(left, _LONGEST_READ))

    def timed_out(self, message: str, *, hint: str | None = None) -> WaitTimeoutError:
        """Return an error that tells what the console showed last."""
        lines = [line.rstrip() for line in strip_controls(self._last).splitlines()]
        shown = [line for line in lines if line][-_EXPLAINED_LINES:]
        return WaitTimeoutError(message, stage="console open", console=shown, hint=hint)

    def _take(self, timeout: float) -> bool:
        """Read what comes within *timeout* seconds; returns whether something did."""
        with self._telling():
            data = self._stream.read(timeout)
        text = data.decode(errors="replace")
        self._shown += text
        self._last = (self._last + text)[-_KEPT:]
        return bool(data)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what it means that the console has closed."""
        try:
            yield
        except HypervisorError as error:
            check_running(self.vm, get_console_host(self.vm, self._context))
            raise taken_over(self.vm) from error


@contextmanager
def open_session(
    vm: VMPlan, context: PrefixContext, *, purpose: str, force: bool = False
) -> Iterator[ConsoleSession]:
    """Go to the console of *vm* for the block.

    Args:
        vm: The VM.
        context: Its prefix.
        purpose: What for, as a verb phrase, for others who want it meanwhile.
        force: Take it from whoever is there.

    Raises:
        ConsoleError: Somebody else is there; says who.
        VMNotRunningError: The VM is not running.
    """
    hypervisor = get_console_host(vm, context)
    with ExitStack() as stack:
        _take_lock(stack, vm, context, purpose, force=force)
        stream = _open(vm, hypervisor, force=force)
        stack.callback(stream.close)
        yield ConsoleSession(vm, context, stream)


def attach(vm: VMPlan, context: PrefixContext, *, force: bool = False) -> None:
    """Attach our terminal to the console of *vm* until the escape key, or the VM goes off.

    Raises:
        ConsoleError: Somebody else is there, or took it over.
        LagoError: We have no terminal.
        VMNotRunningError: The VM was not running.
    """
    hypervisor = get_console_host(vm, context)
    check_running(vm, hypervisor)
    with ExitStack() as stack:
        _take_lock(stack, vm, context, "sit at the console", force=force)
        try:
            hypervisor.attach_console(vm.domain, force=force)
        except ConsoleBusyError as error:
            raise _busy(vm, "somebody else (virsh console, a viewer)") from error
        except HypervisorError as error:
            try:
                check_running(vm, hypervisor)
            except VMNotRunningError:
                return  # it went off, which is what the user saw
            raise taken_over(vm) from error


def get_console_host(vm: VMPlan, context: PrefixContext) -> Hypervisor:
    """Return the hypervisor that has the console of *vm*.

    Raises:
        VMError: Somebody else runs the VM.
        VMNotRunningError: Its host is down.
    """
    return get_hypervisor(vm, context, need="its console")


def strip_controls(text: str) -> str:
    """Return *text* without what terminals obey: colours, movements, carriage returns."""
    return _CONTROLS.sub("", text)


def taken_over(vm: VMPlan) -> ConsoleError:
    """Return the error of one who lost the console of *vm*."""
    message = f"the console of {vm.name!r} was closed: somebody else took it over"
    return ConsoleError(vm.name, message, hint="a console has room for one user")


def _open(vm: VMPlan, hypervisor: Hypervisor, *, force: bool) -> ConsoleStream:
    try:
        return hypervisor.open_console(vm.domain, force=force)
    except ConsoleBusyError as error:
        raise _busy(vm, "somebody else (virsh console, a viewer)") from error
    except HypervisorError:
        check_running(vm, hypervisor)
        raise


def _take_lock(
    stack: ExitStack, vm: VMPlan, context: PrefixContext, purpose: str, *, force: bool
) -> None:
    """Tell others of the prefix that we are at the console; *force* minds nobody.

    Raises:
        ConsoleError: One of them is; says who.
    """
    path = _lock_path(vm, context)
    try:
        stack.enter_context(context.world.files.lock(path, timeout=0, purpose=purpose))
    except LockedError as error:
        if force:
            return
        raise _busy(vm, error.holder or "another process") from error


def _lock_path(vm: VMPlan, context: PrefixContext) -> Path:
    return context.layout.path / f".console-{vm.name}.lock"


def _busy(vm: VMPlan, who: str) -> ConsoleError:
    return ConsoleError(
        vm.name,
        f"the console of {vm.name!r} is in use by {who}",
        hint=f"wait for them, or take it over: lagoctl console --force {vm.name}",
    )
