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
from lago_sdk.ports.extraction import Extraction, Skipped
from lago_sdk.ports.fingerprints import Fingerprints
from lago_sdk.ports.guest import Guest, GuestStream, Readable, SSHTarget
from lago_sdk.ports.host import Dial, Host, HostKind
from lago_sdk.ports.hypervisor import Hypervisor
from lago_sdk.ports.images import (
    Archives,
    Compression,
    Download,
    ImageBuilder,
    ImagePacker,
    ImageTool,
    PackedImage,
    Tell,
    Templates,
)
from lago_sdk.ports.machines import Machine, VMProvider
from lago_sdk.ports.networks import DhcpLease, Networks
from lago_sdk.ports.offline import (
    SCRATCH_PREFIX,
    EntryKind,
    OfflineDirectory,
    OfflineDisks,
    OfflineEntry,
    OfflineFile,
    OfflineFS,
    OfflineLink,
    OfflineNode,
    OfflineVisit,
    RootLook,
)
from lago_sdk.ports.packets import Packet, PacketTap
from lago_sdk.ports.plugins import BUILT_IN, PluginInfo, PluginKind, Plugins
from lago_sdk.ports.relays import Address, Relay, Relays
from lago_sdk.ports.screens import DisplayServer, Picture, Screens
from lago_sdk.ports.services import RunInGuest, ServiceProvider
from lago_sdk.ports.statistics import DomainStatistics, Statistics
from lago_sdk.ports.tools import Barrier, Clock, Feature, Files, KeyTool, SeedTool, SubnetLeases

__all__ = [
    "BUILT_IN",
    "SCRATCH_PREFIX",
    "Address",
    "AgentState",
    "Agents",
    "Archives",
    "Barrier",
    "Clock",
    "Compression",
    "ConsoleStream",
    "Consoles",
    "Devices",
    "DhcpLease",
    "Dial",
    "DisplayServer",
    "DomainInfo",
    "DomainStatistics",
    "Domains",
    "Download",
    "EntryKind",
    "Extraction",
    "Feature",
    "Files",
    "Fingerprints",
    "Guest",
    "GuestStream",
    "Host",
    "HostKind",
    "Hypervisor",
    "ImageBuilder",
    "ImagePacker",
    "ImageTool",
    "KeyTool",
    "Machine",
    "Networks",
    "OfflineDirectory",
    "OfflineDisks",
    "OfflineEntry",
    "OfflineFS",
    "OfflineFile",
    "OfflineLink",
    "OfflineNode",
    "OfflineVisit",
    "PackedImage",
    "Packet",
    "PacketTap",
    "Picture",
    "PluginInfo",
    "PluginKind",
    "Plugins",
    "Readable",
    "Relay",
    "Relays",
    "RootLook",
    "RunInGuest",
    "SSHTarget",
    "Screens",
    "SeedTool",
    "ServiceProvider",
    "Skipped",
    "Statistics",
    "SubnetLeases",
    "Tell",
    "Templates",
    "VMProvider",
]
