"""What was asked of one net."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network

import attrs

from lago_sdk.spec.keys import key


class NetType(enum.Enum):
    """How a net is connected to the world."""

    NAT = "nat"
    """Its VMs reach out through the host's address."""
    BRIDGE = "bridge"
    """Plugged into a bridge; nobody hands out addresses."""
    ISOLATED = "isolated"
    """Its VMs reach each other and the host, nothing else."""
    ROUTED = "routed"
    """The host forwards without translating addresses."""


class SubnetChoice(enum.Enum):
    """What to do about a subnet that is not written out."""

    AUTO = "auto"
    """Allocate one, as the net's type needs it."""
    NONE = "none"
    """No addresses of this family."""


@attrs.frozen(kw_only=True)
class DhcpRange:
    """Host parts of the addresses that DHCP hands to strangers.

    VMs of the prefix get their planned address whatever the range says.
    """

    start: int = attrs.field(metadata=key("start", "First host number.", example="100"))
    end: int = attrs.field(metadata=key("end", "Last host number.", example="254"))


@attrs.frozen(kw_only=True)
class NetSpec:
    """One virtual network."""

    name: str
    """Its name: the key under ``nets``."""
    type: NetType = attrs.field(
        default=NetType.NAT, metadata=key("type", "How the net is connected to the world.")
    )
    management: bool | None = attrs.field(
        default=None,
        metadata=key(
            "management",
            "Whether the library talks to VMs over this net. Each VM touches exactly one such "
            "net; where no net is marked, the first by name is taken.",
        ),
    )
    dhcp: DhcpRange | None = attrs.field(
        default=None,
        metadata=key("dhcp", "Run a DHCP server; without it guests are configured statically."),
    )
    gw: str | None = attrs.field(
        default=None,
        metadata=key(
            "gw",
            "IPv4 address of the host on this net. It also chooses the /24 "
            "when `subnet` is absent.",
            example="192.168.210.1",
        ),
    )
    subnet: IPv4Network | SubnetChoice = attrs.field(
        default=SubnetChoice.AUTO,
        metadata=key(
            "subnet",
            "IPv4 subnet in CIDR form, `auto` or `none`.",
            example="10.10.0.0/22",
            lago="new: Lago knew /24 only",
        ),
    )
    subnet6: IPv6Network | SubnetChoice = attrs.field(
        default=SubnetChoice.AUTO,
        metadata=key(
            "subnet6",
            "IPv6 subnet in CIDR form, `auto` or `none`. `auto` means a ULA /64 on a nat net "
            "and none elsewhere.",
            example="fd00:0:0:1::/64",
        ),
    )
    dns_domain_name: str | None = attrs.field(
        default=None,
        metadata=key(
            "dns_domain_name",
            "DNS domain that its VMs are in; management nets only. "
            "A management net without one is `lago.local`.",
            example="lab.test",
        ),
    )
    main_dns: bool | None = attrs.field(
        default=None,
        metadata=key("main_dns", "Whether this management net answers DNS for the others."),
    )
    dns_records: Mapping[str, str] = attrs.field(
        factory=dict,
        metadata=key("dns_records", "Further DNS names and their addresses; management nets only."),
    )
    mtu: int = attrs.field(
        default=1500, metadata=key("mtu", "Largest packet.", unit="bytes", example="9000")
    )
    bridge: str | None = attrs.field(
        default=None,
        metadata=key(
            "bridge",
            "For type `bridge`: an existing bridge of the host. Without it one is made.",
            example="br0",
        ),
    )
