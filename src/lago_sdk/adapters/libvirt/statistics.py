"""Counters of libvirt's domains behind the `Statistics` port.

(https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectGetAllDomainStats)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.part import Part
from lago_sdk.adapters.libvirt.states import describe_state
from lago_sdk.ports.statistics import DomainStatistics

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEVICE = re.compile(r"(block|net)\.\d+\.(.+)")
_KIBIBYTE = 1024
_NANOSECOND = 1e-9


class LibvirtStatistics(Part):
    """The counters of a libvirtd's domains, as a `lago_sdk.ports.Statistics`."""

    def read_statistics(self, prefix_uuid: str) -> Mapping[str, DomainStatistics]:
        """See `Statistics.read_statistics`."""
        import libvirt

        wanted = (
            libvirt.VIR_DOMAIN_STATS_STATE
            | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
            | libvirt.VIR_DOMAIN_STATS_BALLOON
            | libvirt.VIR_DOMAIN_STATS_VCPU
            | libvirt.VIR_DOMAIN_STATS_INTERFACE
            | libvirt.VIR_DOMAIN_STATS_BLOCK
        )
        no_wait = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        with self._doing("read the counters of domains") as connection:
            return {
                domain.name(): _read(stats)
                for domain, stats in connection.getAllDomainStats(wanted, no_wait)
                if self._find_owner(domain) == prefix_uuid
            }

    def find_nic_device(self, domain: str, mac: str) -> str | None:
        """See `Statistics.find_nic_device`."""
        with self._with_domain(domain, f"look at the nics of domain {domain!r}") as found:
            root = ET.fromstring(found.XMLDesc(0))  # noqa: S314 - libvirt's
        for nic in root.iterfind("devices/interface"):
            address, target = nic.find("mac"), nic.find("target")
            if address is not None and address.get("address", "").lower() == mac.lower():
                return None if target is None else target.get("dev")
        return None


def _read(stats: Mapping[str, Any]) -> DomainStatistics:
    """Sum up the counters of one domain; those that libvirt does not tell are 0."""
    state, _ = describe_state(int(stats.get("state.state", 0)), int(stats.get("state.reason", 0)))
    if not state.is_active:
        return DomainStatistics(state=state)
    sums: dict[str, int] = {}
    for key, value in stats.items():
        match = _DEVICE.fullmatch(key)
        if match is not None and isinstance(value, int):
            name = f"{match[1]}.{match[2]}"
            sums[name] = sums.get(name, 0) + value
    return DomainStatistics(
        state=state,
        cpu_seconds=int(stats.get("cpu.time", 0)) * _NANOSECOND,
        vcpus=int(stats.get("vcpu.current", 0)),
        memory=int(stats.get("balloon.current", 0)) * _KIBIBYTE,
        resident=int(stats.get("balloon.rss", 0)) * _KIBIBYTE,
        disk_read=sums.get("block.rd.bytes", 0),
        disk_written=sums.get("block.wr.bytes", 0),
        disk_reads=sums.get("block.rd.reqs", 0),
        disk_writes=sums.get("block.wr.reqs", 0),
        net_received=sums.get("net.rx.bytes", 0),
        net_sent=sums.get("net.tx.bytes", 0),
        net_packets_received=sums.get("net.rx.pkts", 0),
        net_packets_sent=sums.get("net.tx.pkts", 0),
    )
