"""Serial consoles of guests, as streams of bytes."""

from __future__ import annotations

from typing import Protocol


class ConsoleBusyError(Exception):
    """Somebody else is at the console.

    It says so to the services, which tell who it is, and does not leave them.
    """


class ConsoleStream(Protocol):
    """An open console: what is written is typed, what is read was shown since it was opened."""

    def read(self, timeout: float) -> bytes:
        """Return what was shown and not read yet; empty when nothing comes within *timeout* s.

        Raises:
            HypervisorError: The console is closed: the VM went off, or somebody took it over.
        """

    def write(self, data: bytes) -> None:
        """Type *data*.

        Raises:
            HypervisorError: The console is closed.
        """

    def close(self) -> None:
        """Let go of it; what was written is still typed. Idempotent."""


class Consoles(Protocol):
    """Consoles of the hypervisor's domains; each has room for one user."""

    def open_console(self, domain: str, *, force: bool = False) -> ConsoleStream:
        """Open the console of a running domain.

        Args:
            domain: Name of the domain.
            force: Take it from whoever is at it.

        Raises:
            ConsoleBusyError: Somebody else is at it.
            HypervisorError: The domain is off.
        """

    def attach_console(self, domain: str, *, force: bool = False) -> None:
        """Attach our terminal to the console until the escape key is pressed, or it closes.

        Raises:
            ConsoleBusyError: Somebody else is at it.
            HypervisorError: The domain is off, or the console was taken over.
        """
