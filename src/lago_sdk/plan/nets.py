"""Nets: which subnet and gateway each gets, and the plan of each once its nics are decided."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import attrs

from lago_sdk.alloc.addresses import AddressPool
from lago_sdk.alloc.macs import allocate_bridge_mac
from lago_sdk.alloc.names import allocate_device_name
from lago_sdk.alloc.subnets import allocate_subnets, allocate_subnets6
from lago_sdk.plan.models import DhcpHost, NetPlan
from lago_sdk.spec.addresses import has_ip4, has_ip6, parse_ip4, subnet_of
from lago_sdk.spec.net import NetSpec, NetType, SubnetChoice
from lago_sdk.spec.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lago_sdk.alloc.subnets import SubnetConflict
    from lago_sdk.plan.facts import Taken
    from lago_sdk.plan.models import DnsRecord
    from lago_sdk.spec.prefix import PrefixSpec

DEFAULT_DNS_DOMAIN = "lago.local"
"""DNS domain of management nets that name none; Lago's."""

_ANYWHERE = IPv4Network("0.0.0.0/0")
_ANYWHERE6 = IPv6Network("::/0")


@attrs.define(kw_only=True)
class NetDraft:
    """A net whose subnets are decided and whose nics are being addressed."""

    spec: NetSpec
    subnet: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    gateway: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    pool: AddressPool | None = None
    """Where nics' IPv4 addresses come from; ``None`` when they may not have any."""
    pool6: AddressPool | None = None
    is_broken: bool = False
    """Whether its subnet is a problem already, so that what follows from that goes untold."""
    mapping: dict[str, str] = attrs.field(factory=dict)
    dhcp_hosts: list[DhcpHost] = attrs.field(factory=list)
    is_bridge: bool = attrs.field(init=False)
    """Whether the net is somebody else's to run: no gateway, DHCP or DNS of ours."""
    has_dhcp: bool = attrs.field(init=False)
    """Whether the net runs a DHCP server."""

    def __attrs_post_init__(self) -> None:
        """Settle what is asked of the net again for every nic."""
        self.is_bridge = self.spec.type is NetType.BRIDGE
        self.has_dhcp = self.spec.dhcp is not None and not self.is_bridge


def plan_subnets(spec: PrefixSpec, taken: Taken, problems: list[Problem]) -> dict[str, NetDraft]:
    """Decide subnets and gateways of all nets; what is wrong is added to *problems*."""
    drafts = {net.name: NetDraft(spec=net) for net in spec.nets}
    gateways = {name: _parse_gateway(draft, problems) for name, draft in drafts.items()}
    _plan_subnets4(drafts, taken, problems)
    _plan_subnets6(drafts, taken, problems)
    for name, draft in drafts.items():
        _plan_gateway(draft, gateways[name], problems)
        _make_pools(draft)
    return drafts


def plan_nets(
    drafts: Mapping[str, NetDraft],
    *,
    uuid: str,
    taken: Taken,
    management: Sequence[str],
    main_dns: str | None,
    dns_records: Mapping[str, tuple[DnsRecord, ...]],
    nic_macs: Iterable[str],
    problems: list[Problem],
) -> tuple[NetPlan, ...]:
    """Return the plans of all nets, in file order.

    Args:
        drafts: The nets, with the addresses of their nics.
        uuid: The prefix's uuid.
        taken: What others use.
        management: Names of the management nets, sorted.
        main_dns: The management net whose DNS server the other nets forward to.
        dns_records: What each net's DNS server answers; nets without one are absent.
        nic_macs: MACs that bridges may not have.
        problems: What is wrong is added here.
    """
    names = set(taken.names)
    names.update(draft.spec.bridge for draft in drafts.values() if draft.spec.bridge)
    macs = set(nic_macs)
    main = None if main_dns is None else drafts[main_dns]
    forward = None if main is None or main.is_bridge else main.gateway
    plans = []
    for name, draft in drafts.items():
        device = allocate_device_name(uuid, name, names)
        names.add(device)
        bridge_mac = allocate_bridge_mac(uuid, name, macs)
        macs.add(bridge_mac)
        is_management = name in management
        plans.append(
            NetPlan(
                spec=draft.spec,
                name=name,
                network=device,
                bridge=draft.spec.bridge or device,
                bridge_mac=bridge_mac,
                is_management=is_management,
                subnet=draft.subnet,
                gateway=draft.gateway,
                subnet6=draft.subnet6,
                gateway6=draft.gateway6,
                dhcp_range=_plan_dhcp_range(draft, problems),
                dhcp_hosts=tuple(draft.dhcp_hosts),
                dns_domain=find_dns_domain(draft.spec, is_management=is_management),
                dns_records=dns_records.get(name, ()),
                dns_forward=None if is_management or draft.is_bridge else forward,
                mapping=draft.mapping,
                mtu=draft.spec.mtu,
            )
        )
    return tuple(plans)


def find_dns_domain(net: NetSpec, *, is_management: bool) -> str | None:
    """Return the DNS domain of *net*; ``None`` when it is no management net."""
    return (net.dns_domain_name or DEFAULT_DNS_DOMAIN) if is_management else None


def _parse_gateway(draft: NetDraft, problems: list[Problem]) -> IPv4Address | None:
    net = draft.spec
    if net.gw is None:
        return None
    gateway = parse_ip4(net.gw)
    if gateway is None:
        problems.append(
            Problem(
                message=f"{net.gw!r} is not an IPv4 address",
                path=("nets", net.name, "gw"),
                code="bad-address",
            )
        )
        draft.is_broken = True
    return gateway


def _plan_subnets4(
    drafts: Mapping[str, NetDraft],
    taken: Taken,
    problems: list[Problem],
) -> None:
    wanted: list[tuple[str, IPv4Network | None]] = []
    for name, draft in drafts.items():
        fixed = subnet_of(draft.spec)
        if fixed is not None or (has_ip4(draft.spec) and not draft.is_broken):
            wanted.append((name, fixed))
    found = allocate_subnets(wanted, taken=taken.subnets)
    for name, subnet in found.subnets.items():
        drafts[name].subnet = subnet
    asked_for = dict(wanted)
    for conflict in found.conflicts:
        drafts[conflict.net].is_broken = True
        net = drafts[conflict.net].spec
        key = "subnet" if isinstance(net.subnet, IPv4Network) else "gw"
        problems.append(_conflict_problem(conflict, str(asked_for[conflict.net]), key))
    for name in found.unserved:
        drafts[name].is_broken = True
    if found.unserved:
        asking = sum(ask is None for _, ask in wanted)
        problems.append(_exhausted_problem(found.unserved[0], asking, found.free))


def _plan_subnets6(drafts: Mapping[str, NetDraft], taken: Taken, problems: list[Problem]) -> None:
    wanted: list[tuple[str, IPv6Network | IPv4Network | None]] = []
    for name, draft in drafts.items():
        asked = draft.spec.subnet6
        if isinstance(asked, IPv6Network):
            wanted.append((name, asked))
        elif has_ip6(draft.spec):
            wanted.append((name, draft.subnet))
    found = allocate_subnets6(wanted, taken=taken.subnets6)
    for name, subnet in found.subnets.items():
        drafts[name].subnet6 = subnet
    for conflict in found.conflicts:
        drafts[conflict.net].is_broken = True
        asked6 = drafts[conflict.net].spec.subnet6
        text = str(asked6) if isinstance(asked6, IPv6Network) else "fd8f:1391:3a82::/48"
        problems.append(_conflict_problem(conflict, text, "subnet6"))


def _conflict_problem(conflict: SubnetConflict, subnet: str, key: str) -> Problem:
    other = "something else on this host" if conflict.other is None else f"net {conflict.other!r}"
    return Problem(
        message=f"{subnet} overlaps the subnet of {other}",
        path=("nets", conflict.net, key),
        hint="leave it out to be given a free one" if conflict.other is None else None,
        code="subnet-taken",
    )


def _exhausted_problem(net: str, asking: int, free: int) -> Problem:
    return Problem(
        message=f"{asking} nets want a subnet of 192.168.200.0/24 to 192.168.255.0/24, "
        f"and {free} are free",
        path=("nets", net),
        hint="write `subnet` on some of them, or `subnet: none` where no addresses are needed",
        code="subnets-exhausted",
    )


def _plan_gateway(draft: NetDraft, asked: IPv4Address | None, problems: list[Problem]) -> None:
    if draft.subnet is not None:
        hosts = AddressPool(draft.subnet)
        if asked is not None and int(asked) not in hosts:
            problems.append(
                Problem(
                    message=f"the gateway {asked} is not a host address of {draft.subnet}",
                    path=("nets", draft.spec.name, "gw"),
                    code="address-outside",
                )
            )
        elif asked is not None or not draft.is_bridge:
            draft.gateway = asked or IPv4Address(hosts.first)
    if draft.subnet6 is not None and not draft.is_bridge:
        draft.gateway6 = IPv6Address(AddressPool(draft.subnet6).first)


def _make_pools(draft: NetDraft) -> None:
    """Make the pools of addresses; a bridge without a written subnet takes any static one."""
    subnet, subnet6 = draft.subnet, draft.subnet6
    if draft.is_bridge:
        if subnet is None and draft.spec.subnet is SubnetChoice.AUTO:
            subnet = _ANYWHERE
        if subnet6 is None and draft.spec.subnet6 is SubnetChoice.AUTO:
            subnet6 = _ANYWHERE6
    if subnet is not None:
        reserved = () if draft.gateway is None else (int(draft.gateway),)
        draft.pool = AddressPool(subnet, reserved=reserved)
    if subnet6 is not None:
        reserved = () if draft.gateway6 is None else (int(draft.gateway6),)
        draft.pool6 = AddressPool(subnet6, reserved=reserved)


def _plan_dhcp_range(
    draft: NetDraft, problems: list[Problem]
) -> tuple[IPv4Address, IPv4Address] | None:
    asked = draft.spec.dhcp
    if asked is None or draft.subnet is None or draft.is_bridge:
        return None
    base = int(draft.subnet.network_address)
    first, last = base + asked.start, base + asked.end
    hosts = AddressPool(draft.subnet)
    bad = [
        Problem(
            message=f"host {number} is not in {draft.subnet}",
            path=("nets", draft.spec.name, "dhcp", key),
            hint=f"hosts are {hosts.first - base} to {hosts.last - base}",
            code="address-outside",
        )
        for key, number in (("start", asked.start), ("end", asked.end))
        if base + number not in hosts
    ]
    problems.extend(bad)
    return None if bad else (IPv4Address(first), IPv4Address(last))
