"""libvirt's networks: what nets are to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.state import NetState


@attrs.frozen(kw_only=True)
class DhcpLease:
    """An address that a network's DHCP server gave away."""

    mac: str
    """Whom it was given to, in lower case."""
    address: str


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

    def list_dhcp_leases(self, name: str) -> tuple[DhcpLease, ...]:
        """What the DHCP server of the network *name* gave away; nothing where it has none."""

    def reserve_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """Have the DHCP server of a network that runs give *address* to the card *mac*.

        Raises:
            HypervisorError: It cannot, as when the address is reserved for another card.
        """

    def release_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """Undo `reserve_address` in a network that runs; nothing happens where there is none."""
