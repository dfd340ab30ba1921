"""What the DNS servers of the nets answer.

As in Lago, each management net's server knows the names of all VMs on all nets, so that a guest
resolves every other whatever net they share.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, TypeAlias

from lago_sdk.plan.models import DnsRecord
from lago_sdk.spec.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lago_sdk.plan.nets import NetDraft
    from lago_sdk.plan.nics import AddressedNic

_Address: TypeAlias = IPv4Address | IPv6Address


def plan_dns(
    drafts: Mapping[str, NetDraft],
    nics: Iterable[AddressedNic],
    *,
    management: Sequence[str],
    problems: list[Problem],
) -> dict[str, tuple[DnsRecord, ...]]:
    """Return the records of each net that serves some, one per address, by the net's name.

    Args:
        drafts: The nets.
        nics: The nics of all VMs.
        management: Names of the management nets.
        problems: What is wrong is added here.
    """
    shared = _collect_names(nics)
    records = tuple(DnsRecord(ip=ip, names=tuple(names)) for ip, names in shared)
    known = {name for _, names in shared for name in names}
    found: dict[str, tuple[DnsRecord, ...]] = {}
    for name in management:
        draft = drafts[name]
        if draft.is_bridge:
            continue
        written = _collect_written(draft, known, problems)
        found[name] = _merge(records, written) if written else records
    return found


def _collect_names(nics: Iterable[AddressedNic]) -> list[tuple[_Address, list[str]]]:
    """Return each address and its names; a name that two nets map goes to the first."""
    known: set[str] = set()
    # Hashing an address object costs more than all else here, so numbers are the keys.
    found: dict[tuple[int, int], tuple[_Address, list[str]]] = {}
    for nic in nics:
        names = [name for name in nic.names if name not in known]
        if not names:
            continue
        known.update(names)
        for ip in (nic.plan.ip, nic.plan.ip6):
            if ip is not None:
                found.setdefault((ip.version, int(ip)), (ip, []))[1].extend(names)
    return list(found.values())


def _collect_written(
    draft: NetDraft, known: set[str], problems: list[Problem]
) -> dict[_Address, list[str]]:
    """Return the user's records of a net; names of VMs win over them, as in Lago."""
    found: dict[_Address, list[str]] = {}
    for name, text in draft.spec.dns_records.items():
        try:
            ip = ip_address(text)
        except ValueError:
            problems.append(
                Problem(
                    message=f"{text!r} is not an IP address",
                    path=("nets", draft.spec.name, "dns_records", name),
                    code="bad-address",
                )
            )
            continue
        if name not in known:
            found.setdefault(ip, []).append(name)
    return found


def _merge(
    records: Sequence[DnsRecord], written: dict[_Address, list[str]]
) -> tuple[DnsRecord, ...]:
    rest = dict(written)
    merged = [
        DnsRecord(ip=record.ip, names=(*record.names, *rest.pop(record.ip, ())))
        for record in records
    ]
    merged.extend(DnsRecord(ip=ip, names=tuple(names)) for ip, names in rest.items())
    return tuple(merged)
