"""What domains have used so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class DomainStatistics:
    """Counters of one domain since its start; all 0 for one that is off."""

    state: VMState
    cpu_seconds: float = 0.0
    """Processor time that its QEMU has used, in seconds."""
    vcpus: int = 0
    """Processors that the guest has."""
    memory: int = 0
    """Memory that the guest has, in bytes."""
    resident: int = 0
    """Memory that its QEMU takes on the host, in bytes."""
    disk_read: int = 0
    """Bytes read from all its disks."""
    disk_written: int = 0
    disk_reads: int = 0
    """Requests that read."""
    disk_writes: int = 0
    net_received: int = 0
    """Bytes that the guest got by all its nics."""
    net_sent: int = 0
    net_packets_received: int = 0
    net_packets_sent: int = 0


class Statistics(Protocol):
    """Counters of the hypervisor's domains."""

    def read_statistics(self, prefix_uuid: str) -> Mapping[str, DomainStatistics]:
        """Counters of all domains tagged with the prefix's uuid, by name; one bulk call.

        A domain that libvirt is busy with tells what it can without a wait.
        """

    def find_nic_device(self, domain: str, mac: str) -> str | None:
        """The host's network device behind the network card of a MAC; ``None`` without one."""
