"""libvirt, as far as the services use it: the sum of what its objects can do."""

from __future__ import annotations

from typing import Protocol

from lago_sdk.ports.agent import Agents
from lago_sdk.ports.consoles import Consoles
from lago_sdk.ports.devices import Devices
from lago_sdk.ports.domains import Domains
from lago_sdk.ports.networks import Networks
from lago_sdk.ports.screens import Screens
from lago_sdk.ports.snapshots import States
from lago_sdk.ports.statistics import Statistics


class Hypervisor(
    Agents, Consoles, Devices, Domains, Networks, Screens, States, Statistics, Protocol
):
    """An open connection to libvirtd. Names of domains and networks are those of the plan."""

    def version(self) -> int:
        """Libvirt's version: major * 1,000,000 + minor * 1,000 + micro."""
