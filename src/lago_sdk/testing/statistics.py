"""Counters of fake domains: they stand still, unless a test moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.ports.statistics import DomainStatistics
from lago_sdk.testing.hypervisor_part import FakePart

if TYPE_CHECKING:
    from collections.abc import Mapping


class FakeStatistics(FakePart):
    """Counters of domains, as tests put them."""

    def put_statistics(self, domain: str, statistics: DomainStatistics) -> None:
        """Let *domain* have those counters as long as it runs; its state is its own."""
        with self._lock:
            self._counters[domain] = statistics

    def read_statistics(self, prefix_uuid: str) -> Mapping[str, DomainStatistics]:
        """See `Statistics.read_statistics`."""
        with self._lock:
            self._begin("read_statistics", prefix_uuid)
            found = {}
            for name, domain in sorted(self._domains.items()):
                if domain.owner == prefix_uuid:
                    nothing = DomainStatistics(state=domain.state)
                    known = self._counters.get(name) if domain.state.is_active else None
                    found[name] = attrs.evolve(known or nothing, state=domain.state)
            return found

    def find_nic_device(self, domain: str, mac: str) -> str | None:
        """See `Statistics.find_nic_device`; named by the end of the MAC."""
        with self._lock:
            self._begin("find_nic_device", domain)
            record = self._get_active(domain, "look at the nics of")
            is_there = mac.lower() in record.xml.lower()
            return f"tap-{mac[-5:].replace(':', '').lower()}" if is_there else None
