"""Consoles of the fake hypervisor: what is typed there goes to a function of the test."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError
from lago_sdk.ports.consoles import ConsoleBusyError
from lago_sdk.testing.hypervisor_part import FakePart

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.ports import ConsoleStream
    from lago_sdk.testing.clock import FakeClock

_TOO_LONG = 5.0
"""Seconds that nobody in a test waits for a console."""


class FakeConsole:
    """The console of one guest.

    Args:
        obey: Called with what was typed; returns what the guest shows.
        clock: Set forward by those who wait for a guest that shows nothing.

    Attributes:
        typed: All that was typed.
        attached: How often a terminal was attached.
    """

    def __init__(
        self, obey: Callable[[bytes], bytes] | None = None, *, clock: FakeClock | None = None
    ) -> None:
        self.typed = b""
        self.attached = 0
        self._obey = obey or _ignore
        self._clock = clock
        self._shown = b""
        self._user: FakeConsoleStream | None = None
        self._news = threading.Condition()

    def show(self, data: bytes) -> None:
        """Have the guest write *data*; it is lost where nobody is at the console."""
        with self._news:
            if self._user is not None:
                self._shown += data
                self._news.notify_all()

    def open(self, *, force: bool = False) -> FakeConsoleStream:
        """Sit down at it.

        Raises:
            ConsoleBusyError: Somebody else is there.
        """
        with self._news:
            if self._user is not None and not force:
                raise ConsoleBusyError
            self._user, self._shown = FakeConsoleStream(self), b""
            self._news.notify_all()
            return self._user

    def _read(self, user: FakeConsoleStream, timeout: float) -> bytes:
        with self._news:
            self._check(user)
            if not self._shown and self._clock is not None:
                self._clock.sleep(timeout)
            elif not self._shown:
                self._news.wait(min(timeout, _TOO_LONG))
            self._check(user)
            shown, self._shown = self._shown, b""
            return shown

    def _write(self, user: FakeConsoleStream, data: bytes) -> None:
        with self._news:
            self._check(user)
            self.typed += data
        self.show(self._obey(data))

    def _check(self, user: FakeConsoleStream) -> None:
        if self._user is not user:
            raise HypervisorError("cannot use the console: stream had I/O failure")

    def _leave(self, user: FakeConsoleStream) -> None:
        with self._news:
            if self._user is user:
                self._user = None


class FakeConsoleStream:
    """Somebody at a `FakeConsole`, as a `lago_sdk.ports.ConsoleStream`."""

    def __init__(self, console: FakeConsole) -> None:
        self._console = console

    def read(self, timeout: float) -> bytes:
        """See `ConsoleStream.read`."""
        return self._console._read(self, timeout)  # noqa: SLF001 - two halves of one thing

    def write(self, data: bytes) -> None:
        """See `ConsoleStream.write`."""
        self._console._write(self, data)  # noqa: SLF001 - two halves of one thing

    def close(self) -> None:
        """See `ConsoleStream.close`."""
        self._console._leave(self)  # noqa: SLF001 - two halves of one thing


class FakeConsoles(FakePart):
    """Consoles that show nothing, until a test puts in one that does."""

    def put_console(self, domain: str, console: FakeConsole) -> FakeConsole:
        """Let *domain* have that console; returns it."""
        with self._lock:
            self._consoles[domain] = console
            return console

    def open_console(self, domain: str, *, force: bool = False) -> ConsoleStream:
        """See `Consoles.open_console`."""
        with self._lock:
            self._begin("open_console", domain)
            return self._get_console(domain).open(force=force)

    def attach_console(self, domain: str, *, force: bool = False) -> None:
        """See `Consoles.attach_console`; returns at once."""
        with self._lock:
            self._begin("attach_console", domain)
            console = self._get_console(domain)
        console.open(force=force).close()
        console.attached += 1

    def _get_console(self, domain: str) -> FakeConsole:
        record = self._domains.get(domain)
        if record is None or not record.state.is_active:
            raise HypervisorError(f"the domain {domain!r} is not running")
        return self._consoles.setdefault(domain, FakeConsole())


def _ignore(_typed: bytes) -> bytes:
    return b""
