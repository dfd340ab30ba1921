"""Nics: addresses, MACs and the names they answer to.

Numbers stand for addresses until the end: a plan of thousands of nics is made in milliseconds.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import attrs

from lago_sdk.alloc.macs import allocate_nic_mac, mac_of_address
from lago_sdk.errors import suggest
from lago_sdk.plan.models import AddressMethod, DhcpHost, NicPlan
from lago_sdk.plan.nets import NetDraft
from lago_sdk.spec.addresses import parse_host_octet, parse_ip4, parse_ip6, takes_host_octet
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lago_sdk.alloc.addresses import AddressPool
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.vm import VMSpec

_LOW_32 = 0xFFFF_FFFF
_LONGEST_FOR_V4 = 96
"""Longest IPv6 prefix that leaves room for an IPv4 address."""
_IPV4 = 4
_IPV6 = 6


@attrs.define(kw_only=True)
class NicDraft:
    """A nic whose addresses are being decided."""

    vm: str
    index: int
    spec: NicSpec
    net: NetDraft
    ip: int | None = None
    ip6: int | None = None

    def path(self, key: str) -> Path:
        """Where *key* of the nic is in the init file."""
        return ("domains", self.vm, "nics", self.index, key)


@attrs.frozen(kw_only=True)
class AddressedNic:
    """A nic's plan and the names that its addresses answer to."""

    plan: NicPlan
    names: tuple[str, ...]
    """Those of the net's mapping, the VM's plain name first; empty without an address."""


def plan_nics(
    vms: Sequence[VMSpec],
    nets: Mapping[str, NetDraft],
    *,
    uuid: str,
    management: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, tuple[AddressedNic, ...]]:
    """Decide all nics, fill the nets' mappings and DHCP reservations.

    Args:
        vms: The VMs in file order.
        nets: The nets by name.
        uuid: The prefix's uuid.
        management: Name of the management net of each VM that has one, by the VM's name.
        problems: What is wrong is added here.

    Returns:
        The nics of each VM, in order, by the VM's name.
    """
    drafts = {vm.name: _draft_nics(vm, nets, problems) for vm in vms}
    every = [draft for nics in drafts.values() for draft in nics]
    _allocate_static(every, problems)
    _allocate_dynamic(every, problems)
    macs = _allocate_macs(every, uuid, problems)
    return {
        name: _name_nics(name, nics, management.get(name), macs, drafts)
        for name, nics in drafts.items()
    }


def _draft_nics(
    vm: VMSpec, nets: Mapping[str, NetDraft], problems: list[Problem]
) -> list[NicDraft]:
    drafts = []
    for index, nic in enumerate(vm.nics):
        net = nets.get(nic.net)
        if net is None:
            problems.append(
                Problem(
                    message=f"there is no net {nic.net!r}",
                    path=("domains", vm.name, "nics", index, "net"),
                    hint=suggest(nic.net, nets),
                    code="unknown-net",
                )
            )
        else:
            drafts.append(NicDraft(vm=vm.name, index=index, spec=nic, net=net))
    return drafts


def _allocate_static(drafts: Sequence[NicDraft], problems: list[Problem]) -> None:
    """Take what is written out, on all nics, before anything is handed out."""
    owners: dict[tuple[str, int, int], str] = {}
    for draft in drafts:
        if draft.spec.ip is not None:
            draft.ip = _take_static(draft, "ip", draft.spec.ip, owners, problems)
        if draft.spec.ip6 is not None:
            draft.ip6 = _take_static(draft, "ip6", draft.spec.ip6, owners, problems)


def _take_static(
    draft: NicDraft,
    key: str,
    text: str,
    owners: dict[tuple[str, int, int], str],
    problems: list[Problem],
) -> int | None:
    """Take the written address *text*; ``None``, with a problem added, when that cannot be."""
    net = draft.net
    is_v6 = key == "ip6"
    pool = net.pool6 if is_v6 else net.pool
    version = _IPV6 if is_v6 else _IPV4
    if pool is None:
        if not net.is_broken:
            message = f"net {net.spec.name!r} has no IPv{version} subnet for {text}"
            _add(problems, draft, key, message, "no-subnet")
        return None
    address = _parse_static(net, text, version)
    if address is None:
        _add(problems, draft, key, f"{text!r} is not an IPv{version} address", "bad-address")
        return None
    shown = IPv6Address(address) if is_v6 else IPv4Address(address)
    if address not in pool:
        subnet = net.subnet6 if is_v6 else net.subnet
        message = f"{shown} is not a host address of {subnet}, the subnet of net {net.spec.name!r}"
        _add(problems, draft, key, message, "address-outside")
        return None
    place = (net.spec.name, version, address)
    if not pool.take(address):
        owner = owners.get(place, f"the gateway of net {net.spec.name!r}")
        _add(problems, draft, key, f"{shown} is taken by {owner}", "duplicate-address")
        return None
    owners[place] = f"nic {draft.index} of {draft.vm!r}"
    return address


def _parse_static(net: NetDraft, text: str, version: int) -> int | None:
    """Return the address that a written one means on *net*, or ``None`` when it means none."""
    if version == _IPV6:
        found6 = parse_ip6(text)
        return None if found6 is None else int(found6)
    if net.subnet is not None and takes_host_octet(net.spec):
        octet = parse_host_octet(text)
        return None if octet is None else int(net.subnet.network_address) & ~0xFF | octet
    found = parse_ip4(text)
    return None if found is None else int(found)


def _allocate_dynamic(drafts: Sequence[NicDraft], problems: list[Problem]) -> None:
    """Hand out the smallest free addresses, in file order of VMs and nics."""
    unserved: dict[str, list[NicDraft]] = {}
    for draft in drafts:
        net = draft.net
        if net.is_bridge:
            continue
        if draft.ip is None and draft.spec.ip is None and net.pool is not None:
            draft.ip = net.pool.allocate()
            if draft.ip is None:
                unserved.setdefault(net.spec.name, []).append(draft)
        if draft.ip6 is None and draft.spec.ip6 is None and net.pool6 is not None:
            draft.ip6 = _allocate_ip6(draft, net.pool6)
            if draft.ip6 is None:
                unserved.setdefault(net.spec.name, []).append(draft)
    for name, missing in unserved.items():
        problems.append(_exhausted_problem(name, missing, drafts))


def _allocate_ip6(draft: NicDraft, pool: AddressPool) -> int | None:
    """Return the net's IPv6 prefix with the nic's IPv4 address in its low bits, as Lago has it."""
    subnet6 = draft.net.subnet6
    if draft.ip is not None and subnet6 is not None and subnet6.prefixlen <= _LONGEST_FOR_V4:
        address = int(subnet6.network_address) | draft.ip & _LOW_32
        if pool.take(address):
            return address
    return pool.allocate()


def _exhausted_problem(
    net: str, missing: Sequence[NicDraft], drafts: Sequence[NicDraft]
) -> Problem:
    plugged = sum(draft.net.spec.name == net for draft in drafts)
    draft = missing[0].net
    subnet = draft.subnet if missing[0].ip is None and draft.subnet else draft.subnet6
    return Problem(
        message=f"{subnet} has no address left for {len(missing)} "
        f"of the {plugged} nics on net {net!r}",
        path=("nets", net),
        hint="write a larger `subnet` for it",
        code="addresses-exhausted",
    )


def _allocate_macs(
    drafts: Sequence[NicDraft], uuid: str, problems: list[Problem]
) -> dict[tuple[str, int], str]:
    """Return the MAC of each nic by VM and index; written ones come first."""
    macs: dict[tuple[str, int], str] = {}
    taken: set[str] = set()
    for draft in drafts:
        if draft.spec.mac is None:
            continue
        mac = draft.spec.mac.lower().replace("-", ":")
        if mac in taken:
            _add(problems, draft, "mac", f"{mac} is the MAC of another nic", "duplicate-mac")
        macs[draft.vm, draft.index] = mac
        taken.add(mac)
    for draft in drafts:
        if draft.spec.mac is not None:
            continue
        made = None if draft.ip is None else mac_of_address(draft.ip)
        if made is None or made in taken:
            made = allocate_nic_mac(uuid, draft.vm, draft.index, taken)
        macs[draft.vm, draft.index] = made
        taken.add(made)
    return macs


def _name_nics(
    vm: str,
    nics: Sequence[NicDraft],
    management: str | None,
    macs: Mapping[tuple[str, int], str],
    vms: Collection[str],
) -> tuple[AddressedNic, ...]:
    """Return the nics of one VM with their names, and enter them into their nets."""
    names = dict(_find_names(vm, nics, management))
    found = []
    for draft in nics:
        plan = _plan_nic(draft, macs[vm, draft.index])
        nic = AddressedNic(
            plan=plan, names=_enter(plan, draft.net, names.get(draft.index), vm, vms)
        )
        found.append(nic)
    return tuple(found)


def _find_names(
    vm: str, nics: Sequence[NicDraft], management: str | None
) -> Iterator[tuple[int, list[str]]]:
    """Yield index and names of each nic that has an address, by Lago's rules.

    Nics with a written address count before others among those that a VM has on the same net.
    """
    addressed = [nic for nic in nics if nic.ip is not None or nic.ip6 is not None]
    counts: dict[str, int] = {}
    plain = next((nic for nic in addressed if nic.net.spec.name == management), None)
    for nic in sorted(addressed, key=_is_dynamic):
        net = nic.net.spec.name
        count = counts.get(net, 0)
        counts[net] = count + 1
        names = [vm] if nic is plain else []
        names.append(f"{vm}-eth{nic.index}")
        if count == 0:
            names.append(f"{vm}-{net}")
        names.append(f"{vm}-{net}-{count}")
        yield nic.index, names


def _is_dynamic(nic: NicDraft) -> bool:
    return nic.spec.ip is None and (nic.ip is not None or nic.spec.ip6 is None)


def _plan_nic(draft: NicDraft, mac: str) -> NicPlan:
    ip = None if draft.ip is None else IPv4Address(draft.ip)
    ip6 = None if draft.ip6 is None else IPv6Address(draft.ip6)
    if ip is None and ip6 is None:
        method = AddressMethod.NONE
    else:
        method = AddressMethod.DHCP if draft.net.has_dhcp else AddressMethod.STATIC
    return NicPlan(
        spec=draft.spec,
        index=draft.index,
        net=draft.net.spec.name,
        mac=mac,
        ip=ip,
        ip6=ip6,
        method=method,
    )


def _enter(
    nic: NicPlan, net: NetDraft, names: Sequence[str] | None, vm: str, vms: Collection[str]
) -> tuple[str, ...]:
    """Enter a nic into its net's mapping and reservations; returns the names it got there.

    The name of a VM is never given to another one's nic, whatever they are called.
    """
    if names is None:
        return ()
    address = str(nic.ip if nic.ip is not None else nic.ip6)
    mapping = net.mapping
    entered = [name for name in names if name not in mapping and (name == vm or name not in vms)]
    for name in entered:
        mapping[name] = address
    if net.has_dhcp and entered:
        # Lago names a reservation by the first of its names in alphabetical order.
        host = DhcpHost(mac=nic.mac, name=min(entered), ip=nic.ip, ip6=nic.ip6)
        net.dhcp_hosts.append(host)
    return tuple(entered)


def _add(problems: list[Problem], draft: NicDraft, key: str, message: str, code: str) -> None:
    problems.append(Problem(message=message, path=draft.path(key), code=code))
