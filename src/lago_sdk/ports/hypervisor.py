"""libvirt, as far as the services use it: the sum of what its objects can do."""

from __future__ import annotations

from typing import Protocol

from lago_sdk.ports.domains import Domains
from lago_sdk.ports.networks import Networks


class Hypervisor(Domains, Networks, Protocol):
    """An open connection to libvirtd. Names of domains and networks are those of the plan."""

    def version(self) -> int:
        """Libvirt's version: major * 1,000,000 + minor * 1,000 + micro."""
