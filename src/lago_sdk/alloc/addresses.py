"""Which host addresses of a subnet are handed out. Addresses are plain integers here.

``ipaddress`` objects cost a microsecond each; a plan of thousands of nics makes one only for
an address that it keeps.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network


class AddressPool:
    """The host addresses of one subnet: written ones are taken, others handed out in order."""

    def __init__(self, subnet: IPv4Network | IPv6Network, *, reserved: Iterable[int] = ()) -> None:
        """Make the pool of *subnet*.

        Args:
            subnet: The subnet. Its first and last address are no hosts, save in subnets of one
                or two addresses, which are all hosts; in IPv6 the last address is a host.
            reserved: Addresses that are never given, such as the gateway's.
        """
        self.first = int(subnet.network_address)
        self.last = int(subnet.broadcast_address)
        if self.last - self.first > 1:
            self.first += 1
            self.last -= 1 if subnet.version == 4 else 0
        self._used = set(reserved)
        # The first host is the gateway's by custom; where the gateway is elsewhere it comes last.
        self._order = chain(range(self.first + 1, self.last + 1), (self.first,))

    def __contains__(self, address: int) -> bool:
        """Whether *address* can be a host of the subnet, taken or not."""
        return self.first <= address <= self.last

    def take(self, address: int) -> bool:
        """Take *address*; returns false when it is taken or reserved already."""
        if address in self._used:
            return False
        self._used.add(address)
        return True

    def allocate(self) -> int | None:
        """Take the smallest free address from the second host on, the first host after all others.

        Returns:
            The address; ``None`` when all are taken.
        """
        for address in self._order:
            if self.take(address):
                return address
        return None
