"""What the services need of the world, as narrow Protocols.

Adapters implement them, ``connect.py`` wires them, ``testing/`` ships fakes of each. A service
that takes a port never knows which it got. Each module holds the ports of one part of the world;
all names are found here.
"""

from __future__ import annotations

from lago_sdk.ports.agent import Agents, AgentState
from lago_sdk.ports.consoles import Consoles, ConsoleStream
from lago_sdk.ports.devices import Devices
from lago_sdk.ports.domains import DomainInfo, Domains
from lago_sdk.ports.guest import Guest, GuestStream, Readable, SSHTarget
from lago_sdk.ports.host import Host, HostKind
from lago_sdk.ports.hypervisor import Hypervisor
from lago_sdk.ports.images import Archives, Download, ImageBuilder, ImageTool, Templates
from lago_sdk.ports.networks import DhcpLease, Networks
from lago_sdk.ports.services import RunInGuest, ServiceAction, ServiceProvider
from lago_sdk.ports.tools import Barrier, Clock, Feature, Files, KeyTool, SeedTool, SubnetLeases

__all__ = [
    "AgentState",
    "Agents",
    "Archives",
    "Barrier",
    "Clock",
    "ConsoleStream",
    "Consoles",
    "Devices",
    "DhcpLease",
    "DomainInfo",
    "Domains",
    "Download",
    "Feature",
    "Files",
    "Guest",
    "GuestStream",
    "Host",
    "HostKind",
    "Hypervisor",
    "ImageBuilder",
    "ImageTool",
    "KeyTool",
    "Networks",
    "Readable",
    "RunInGuest",
    "SSHTarget",
    "SeedTool",
    "ServiceAction",
    "ServiceProvider",
    "SubnetLeases",
    "Templates",
]
