"""Everything of the world that the services of one prefix use, as one bundle of ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.config import Config
from lago_sdk.events import Observer
from lago_sdk.plan.models import Image
from lago_sdk.ports import (
    Archives,
    Barrier,
    Clock,
    Dial,
    Download,
    Feature,
    Files,
    Fingerprints,
    Guest,
    Host,
    ImageBuilder,
    ImagePacker,
    ImageTool,
    KeyTool,
    OfflineDisks,
    Plugins,
    Relays,
    SeedTool,
    SSHTarget,
    SubnetLeases,
    Templates,
)

if TYPE_CHECKING:
    import socket

    from lago_sdk.plan.models import VMPlan


@attrs.frozen(kw_only=True)
class World:
    """The ports of one prefix, wired, and the settings."""

    config: Config
    host: Host
    images: ImageTool
    packer: ImagePacker
    disks: OfflineDisks
    """Opens disks of VMs that are off."""
    builders: Mapping[str, ImageBuilder]
    """Image builders by the name that ``build`` calls them."""
    archives: Archives
    download: Download
    seeds: SeedTool
    templates: Templates
    mark_used: Callable[[Image], None]
    """Note that the prefix uses an image, where that is one of the template store."""
    leases: SubnetLeases
    files: Files
    keys: KeyTool
    fingerprints: Fingerprints
    clock: Clock
    open_guest: Callable[[SSHTarget], Guest]
    """Make the (lazy) connection to a guest."""
    dial_outside: Dial
    """Connects to an address or host name by this machine's own routes."""
    relays: Relays
    """Makes ports of our loopback that lead into the prefix's networks."""
    plugins: Plugins
    """What other packages add."""
    observe: Observer
    find_missing: Callable[[], Mapping[Feature, str]]
    """What the host lacks that VMs may ask for, and the packages that bring it."""
    find_barrier: Callable[[Path], Barrier | None]
    """Find what keeps the host's QEMU from a directory or file."""
    environ: Mapping[str, str]
    """Variables that paths of the init file may use."""
    proxy: tuple[str, ...] = ()
    """Command by which other programs of this machine reach the networks of a private host."""
    cpus: int
    """Processors of the host; boots under emulation are bounded by it."""

    def dial(self, vm: VMPlan, address: str, port: int, *, timeout: float) -> socket.socket:
        """Return a socket connected to *vm*: on the prefix's host, or wherever else it is.

        Raises:
            OSError: As ``socket.create_connection``.
            HostError: Its host is not up.
        """
        if vm.is_remote:
            return self.dial_outside(address, port, timeout)
        return self.host.dial(address, port, timeout=timeout)
