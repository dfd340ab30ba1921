"""libvirt's domains: what VMs are to it."""

from __future__ import annotations

from typing import Protocol

import attrs

from lago_sdk.state import VMState


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

    def shutdown_domain(self, name: str) -> None:
        """Ask the guest to power off (ACPI); returns at once."""

    def remove_domain(self, name: str) -> None:
        """Power it off and forget its definition; idempotent."""
