"""What manages services in a guest: systemd, init scripts, containers, or a plugin's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.results import CommandResult
    from lago_sdk.state import ServiceAction, ServiceState


class RunInGuest(Protocol):
    """Runs a command in one guest."""

    def __call__(self, command: Sequence[str], /) -> CommandResult:
        """Run a list of arguments and wait for its end, whatever the exit code."""


class ServiceProvider(Protocol):
    """Talks to one manager of services by commands in the guest."""

    @property
    def name(self) -> str:
        """How the key ``service_provider`` calls it."""

    def is_present(self, run: RunInGuest) -> bool:
        """Whether it manages the guest's services."""

    def find_state(self, service: str, run: RunInGuest) -> ServiceState:
        """Return the state of *service*."""

    def act(self, action: ServiceAction, service: str, run: RunInGuest) -> CommandResult:
        """Start, stop or restart *service*, and wait until that is done."""

    def explain(self, service: str, run: RunInGuest) -> str:
        """Return what the manager knows of a service that failed; may be empty."""
