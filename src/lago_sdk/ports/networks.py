"""libvirt's networks: what nets are to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.state import NetState


class Networks(Protocol):
    """Networks of the hypervisor. Names are those of the plan."""

    def list_networks(self, prefix_uuid: str) -> Mapping[str, NetState]:
        """All networks tagged with the prefix's uuid, and their state."""

    def find_network(self, name: str) -> NetState | None:
        """The state of the network *name*, or ``None`` when it is not defined."""

    def create_network(self, xml: str) -> None:
        """Define a persistent network (or redefine the one of that name) and start it."""

    def remove_network(self, name: str) -> None:
        """Stop it and forget its definition; idempotent."""
