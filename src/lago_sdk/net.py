"""The handle of one net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMNotFoundError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import NetPlan
    from lago_sdk.prefix import Prefix
    from lago_sdk.service.seeing.capture import Capture, Target
    from lago_sdk.spec.net import NetSpec
    from lago_sdk.state import NetState


class Net:
    """One net of a prefix. Get it from ``prefix.nets``; it stays valid while the prefix does."""

    def __init__(self, prefix: Prefix, plan: NetPlan) -> None:
        self._prefix = prefix
        self._name = plan.name

    def __repr__(self) -> str:
        """``<Net lan 192.168.200.0/24>``."""
        return f"<Net {self.name} {self.subnet or 'without addresses'}>"

    @property
    def _plan(self) -> NetPlan:
        """What is decided now: nics come and go."""
        return self._prefix.plan.get_net(self._name)

    @property
    def name(self) -> str:
        """Its name: the key under ``nets``."""
        return self._name

    @property
    def spec(self) -> NetSpec:
        """What was asked."""
        return self._plan.spec

    @property
    def plan(self) -> NetPlan:
        """What was decided."""
        return self._plan

    @property
    def subnet(self) -> str | None:
        """Its IPv4 subnet (else its IPv6 subnet) in CIDR form; ``None`` without addresses."""
        subnet = self._plan.subnet or self._plan.subnet6
        return None if subnet is None else str(subnet)

    @property
    def gateway(self) -> str | None:
        """The host's address on it, IPv4 before IPv6."""
        gateway = self._plan.gateway or self._plan.gateway6
        return None if gateway is None else str(gateway)

    @property
    def is_management(self) -> bool:
        """Whether the library talks to VMs over it."""
        return self._plan.is_management

    @property
    def mtu(self) -> int:
        """Largest packet, in bytes."""
        return self._plan.mtu

    @property
    def mapping(self) -> Mapping[str, str]:
        """Names on this net and their addresses."""
        return self._plan.mapping

    @property
    def state(self) -> NetState:
        """Its state now.

        Raises:
            HostError: libvirtd does not answer.
        """
        return self._prefix.get_net_state(self.name)

    def start(self) -> None:
        """Start it, and a private host that is not up; nothing where it is up.

        Raises:
            HostError: The host cannot be brought up.
            HypervisorError: libvirt refuses it.
        """
        self._prefix.start_net(self.name)

    def stop(self) -> None:
        """Stop it; nothing where it is down. `Prefix.stop` stops nets that are not used as well.

        Raises:
            NetInUseError: VMs that run are plugged into it; names them.
        """
        self._prefix.stop_net(self.name)

    def capture(
        self,
        path: Target,
        *,
        filter: str | Sequence[str] | None = None,  # noqa: A002 - the word of all such tools
        count: int | None = None,
        duration: float | None = None,
        snaplen: int = 262_144,
    ) -> Capture:
        """Begin to capture the packets on it, into a pcap file.

        ::

            with net.capture("web.pcap", filter="tcp port 80"):
                prefix.vms["web"].ssh("systemctl restart nginx")

        Args:
            path: The file, made or overwritten; or an open binary one, which stays open.
            filter: In the language of pcap-filter(7), which tcpdump compiles; everything when
                ``None``. Its ``vlan`` finds nothing: tags are put in after the filter.
            count: End after so many packets.
            duration: End after so many seconds.
            snaplen: Bytes of a packet that are kept at most; whole ones as a rule.

        Returns:
            The capture: a context manager that ends with the block; or call its ``stop``.

        Raises:
            CaptureError: The net is down, the filter makes no sense, the file cannot be written,
                or we may not: on the system host only root may.
            MissingToolError: There is a filter, and no tcpdump.
        """
        from lago_sdk.service.seeing.capture import CaptureLimits, capture_net

        limits = CaptureLimits(count=count, duration=duration)
        context = self._prefix.context
        return capture_net(self._plan, context, path, words=filter, limits=limits, snaplen=snaplen)

    def resolve(self, name: str) -> str:
        """Return the address of *name* on this net.

        Raises:
            VMNotFoundError: Nothing on this net has that name.
        """
        try:
            return self.mapping[name]
        except KeyError:
            hint = suggest(name, self.mapping)
            message = f"nothing on the net {self.name!r} is called {name!r}"
            raise VMNotFoundError(name, message, hint=hint) from None
