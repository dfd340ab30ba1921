"""Which host addresses of a subnet are handed out. Addresses are plain integers here.

``ipaddress`` objects cost a microsecond each; a plan of thousands of nics makes one only for
an address that it keeps.
"""

from __future__ import annotations

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
        # The first host is the gateway's by custom; it stays free where the gateway is elsewhere.
        self._next = min(self.first + 1, self.last)

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
        """Take the smallest free address from the second host on; ``None`` when all are taken."""
        while self._next <= self.last:
            address = self._next
            self._next += 1
            if self.take(address):
                return address
        return None


def graft_host(subnet: IPv4Network, text: str) -> int | None:
    """Return the address of *subnet* with the last octet of *text*; ``None`` when that is none.

    Lago's rule for static addresses on subnets that it gave out: ``0.0.0.10``, ``300.300.300.10``
    and ``10`` all ask for host 10, so an init file need not know the subnet.
    """
    last = text.rpartition(".")[2]
    if not (last.isascii() and last.isdecimal() and len(last) <= 3 and int(last) <= 0xFF):
        return None
    return int(subnet.network_address) & 0xFFFFFF00 | int(last)
