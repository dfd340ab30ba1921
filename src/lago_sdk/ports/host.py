"""Where a prefix runs."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Mapping, Sequence

    from lago_sdk.plan.facts import HostFacts, Taken
    from lago_sdk.ports.hypervisor import Hypervisor
    from lago_sdk.ports.packets import PacketTap
    from lago_sdk.results import CommandResult


class HostKind(enum.Enum):
    """Where a prefix runs."""

    PRIVATE = "private"
    SYSTEM = "system"
    REMOTE = "remote"


class Dial(Protocol):
    """Connects to an address."""

    def __call__(self, address: str, port: int, timeout: float, /) -> socket.socket:
        """Return a socket connected to *address* within *timeout* seconds.

        Raises:
            OSError: As ``socket.create_connection``.
        """


class Host(Protocol):
    """The machine, or the part of it, that a prefix runs on."""

    @property
    def kind(self) -> HostKind:
        """Which sort of host this is."""

    def is_up(self) -> bool:
        """Whether it can run VMs at once; a private host is up between `start` and `end`."""

    def is_ended(self) -> bool:
        """Whether nothing runs there, so that there is nobody to ask.

        True of a private host only, before `start` and after `end`. One that is neither up nor
        ended is broken: VMs may run there, and nobody can tell.
        """

    def start(self) -> None:
        """Bring it up; does nothing when it is up.

        A private host that is broken gets its libvirtd back with the VMs that still run, or
        where that fails, is made anew without them.

        Raises:
            HostError: It cannot be brought up; the hint says what to install or allow.
        """

    def end(self) -> None:
        """Take down what `start` made, with everything that runs in it; idempotent."""

    def facts(self) -> HostFacts:
        """What domains on this host depend on."""

    def taken(self) -> Taken:
        """What others use already; empty on a private host."""

    def hypervisor(self) -> Hypervisor:
        """The open connection to its libvirtd.

        Raises:
            HostError: The host is not up, or its libvirtd does not answer.
        """

    def dial(self, address: str, port: int, *, timeout: float) -> socket.socket:
        """Return a socket connected to *address* in the prefix's networks.

        Args:
            address: IPv4 or IPv6 address.
            port: TCP port.
            timeout: Seconds for the connection; the socket itself has no timeout.

        Raises:
            OSError: As ``socket.create_connection``.
        """

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0) -> CommandResult:
        """Run a command in the prefix's networks.

        Raises:
            MissingToolError: The program is not installed.
            ToolError: No end within *timeout* seconds.
        """

    def open_tap(self, device: str, *, words: Sequence[str] = (), snaplen: int) -> PacketTap:
        """Listen on a network device of the prefix's networks, from now on.

        Args:
            device: A bridge, or the device behind a nic.
            words: A filter in the language of pcap-filter(7); everything when empty.
            snaplen: Bytes of a packet that are kept at most.

        Raises:
            CaptureError: There is no such device, the filter makes no sense, or we may not.
            HostError: The host is not up.
            MissingToolError: There is a filter, and nothing that compiles it.
        """

    def listen(
        self,
        vm: str,
        *,
        macs: Collection[str],
        gateways: Collection[str],
        ports: Collection[int] = (),
    ) -> str | None:
        """Listen from now on for packets to a VM, in place of what listened for it before.

        What keeps a net going is not heard (ARP, neighbours, routers, groups, DHCP), nor what
        belongs to no connection any more.

        Args:
            vm: Its name.
            macs: Addresses of its nics.
            gateways: Addresses of the host in its nets.
            ports: Ports of our connections to it that are at rest: their end is not heard.

        Returns:
            What `heard` calls it; ``None`` where we may not listen.

        Raises:
            HostError: The host is not up.
        """

    def heard(self) -> Mapping[str, bool]:
        """Whether any packet came to VMs that are listened for, by what `listen` returned.

        A private host goes on listening when we end; elsewhere we know of our own process only.

        Raises:
            HostError: The host is not up.
        """

    def close(self) -> None:
        """Close our connections; what runs keeps running."""
