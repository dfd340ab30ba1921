"""libvirt's domains: what VMs are to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@attrs.frozen(kw_only=True)
class DomainInfo:
    """One libvirt domain of the prefix, as it is now."""

    name: str
    uuid: str
    state: VMState
    reason: str = ""
    """libvirt's reason of the state, for example ``crashed``; may be empty."""


class Domains(Protocol):
    """Domains of the hypervisor. Names are those of the plan."""

    def list_domains(self, prefix_uuid: str) -> tuple[DomainInfo, ...]:
        """All domains tagged with the prefix's uuid, running or not; one bulk call."""

    def find_domain(self, name: str) -> DomainInfo | None:
        """The domain *name*, or ``None``."""

    def create_domain(self, xml: str) -> None:
        """Define a persistent domain (or redefine the one of that name) and start it."""

    def end_domain(self, name: str) -> None:
        """Power it off at once; nothing happens when it is off or absent."""

    def has_power_button(self, name: str) -> bool:
        """Whether its machine has ACPI, by which a guest can be asked to power off or reboot."""

    def shutdown_domain(self, name: str) -> None:
        """Ask the guest to power off (ACPI); returns at once."""

    def reboot_domain(self, name: str) -> None:
        """Ask the guest to power off (ACPI) and start it again then; returns at once.

        ACPI has no button for a reboot. A guest that powers off by itself later, although it
        did not obey now, is started again all the same.

        Raises:
            HypervisorError: It is off.
        """

    def reset_domain(self, name: str) -> None:
        """Press the reset button: the guest is lost and boots; a paused one runs on.

        Raises:
            HypervisorError: It is off.
        """

    def watch_reboot(self, name: str) -> AbstractContextManager[Callable[[], bool]]:
        """Watch a domain for the block; gives a function that tells whether it has rebooted.

        It has as soon as its machine was reset: nothing of the old system runs any more. The
        function raises `HostError` when the hypervisor was lost meanwhile.
        """

    def suspend_domain(self, name: str) -> None:
        """Pause it: its memory stays, its processors stand still.

        Raises:
            HypervisorError: It is off.
        """

    def resume_domain(self, name: str) -> None:
        """Let it run on, or wake it where its guest has gone to sleep.

        Raises:
            HypervisorError: It is off.
        """

    def remove_domain(self, name: str) -> None:
        """Power it off and forget its definition; idempotent."""
