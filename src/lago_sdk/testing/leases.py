"""Subnet leases in a dictionary."""

from __future__ import annotations

import ipaddress
import threading
from pathlib import Path
from typing import TypeAlias

import attrs

from lago_sdk.errors import SubnetLeaseError

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_STRANGER = "0" * 32
"""The uuid of those who hold a subnet without being a prefix of the test."""


@attrs.frozen
class _Lease:
    uuid_path: Path
    uuid: str

    def is_stale(self) -> bool:
        if self.uuid == _STRANGER:
            return False
        try:
            return self.uuid_path.read_text().strip() != self.uuid
        except OSError:
            return True


class FakeLeases:
    """A `lago_sdk.ports.SubnetLeases` of one process; give it to all worlds of one host."""

    def __init__(self) -> None:
        self._leases: dict[IPNetwork, _Lease] = {}
        self._races = 0
        self._mutex = threading.Lock()

    # -- what tests arrange and look at ----------------------------------------------------

    def hold(self, subnet: str, holder: str = "/elsewhere/prefix") -> None:
        """Let somebody else, whose prefix is the directory *holder*, have *subnet*."""
        with self._mutex:
            self._leases[_parse(subnet)] = _Lease(Path(holder, "uuid"), _STRANGER)

    def lose_races(self, count: int) -> None:
        """Let somebody else be quicker, the next *count* times that a subnet is asked for."""
        with self._mutex:
            self._races = count

    def list_held(self, uuid: str) -> tuple[str, ...]:
        """Return the subnets that the prefix holds, in the order it got them."""
        with self._mutex:
            return tuple(str(net) for net, lease in self._leases.items() if lease.uuid == uuid)

    # -- the port --------------------------------------------------------------------------

    def acquire(self, subnet: str, *, uuid_path: Path, uuid: str) -> None:
        """See `SubnetLeases.acquire`."""
        network = _parse(subnet)
        with self._mutex:
            if self._races > 0:
                self._races -= 1
                self._leases[network] = _Lease(Path("/elsewhere/quicker/uuid"), _STRANGER)
            for other, lease in tuple(self._leases.items()):
                if other.version != network.version or not other.overlaps(network):
                    continue
                if lease.uuid != uuid and not lease.is_stale():
                    raise _taken_error(network, other, lease)
                del self._leases[other]
            self._leases[network] = _Lease(uuid_path, uuid)

    def taken(self, *, uuid: str) -> frozenset[str]:
        """See `SubnetLeases.taken`."""
        with self._mutex:
            return frozenset(
                str(network)
                for network, lease in self._leases.items()
                if lease.uuid != uuid and not lease.is_stale()
            )

    def release(self, *, uuid: str) -> None:
        """See `SubnetLeases.release`."""
        with self._mutex:
            kept = {net: lease for net, lease in self._leases.items() if lease.uuid != uuid}
            self._leases = kept


def _parse(subnet: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(subnet)
    except ValueError as error:
        raise SubnetLeaseError(f"{subnet!r} is not a subnet: {error}") from error


def _taken_error(wanted: IPNetwork, held: IPNetwork, lease: _Lease) -> SubnetLeaseError:
    overlap = "" if wanted == held else f", which overlaps {held},"
    return SubnetLeaseError(
        f"the subnet {wanted}{overlap} is leased to the prefix in {str(lease.uuid_path.parent)!r}"
    )
