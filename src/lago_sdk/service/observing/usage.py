"""What VMs use: counters since their start, and rates between two looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, VMError
from lago_sdk.ports.statistics import DomainStatistics
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_NOTHING = DomainStatistics(state=VMState.DOWN)


@attrs.frozen(kw_only=True)
class VMUsage:
    """What a VM has used since it was started; all 0 while it is off."""

    name: str
    state: VMState
    time: float
    """When it was looked at, in seconds of a clock that never goes back."""
    cpu_seconds: float
    """Processor time that its QEMU has used, in seconds."""
    vcpus: int
    """Processors that the guest has."""
    memory: int
    """Memory that the guest has, in bytes."""
    resident: int
    """Memory that its QEMU takes on the host, in bytes."""
    disk_read: int
    """Bytes read from all its disks."""
    disk_written: int
    """Bytes written to all its disks."""
    disk_reads: int
    """Requests that read."""
    disk_writes: int
    """Requests that wrote."""
    net_received: int
    """Bytes that the guest got by all its nics."""
    net_sent: int
    """Bytes that the guest sent."""
    net_packets_received: int
    net_packets_sent: int

    def since(self, before: VMUsage | None) -> VMLoad:
        """Return how fast the VM used what it did since *before*, an earlier look at it.

        Without one, or where the VM was started anew since, there is no telling: rates are
        ``None``.
        """
        is_same = before is not None and self._continues(before)
        rates = {
            name: self._rate(before, counter) if before is not None and is_same else None
            for name, counter in _RATES.items()
        }
        cpu = rates.pop("cpu_percent")
        percent = None if cpu is None else 100 * cpu
        return VMLoad(usage=self, cpu_percent=percent, **rates)

    def _continues(self, before: VMUsage) -> bool:
        """Whether the counters went on from those of *before*."""
        is_on = self.state.is_active and before.state.is_active and self.time > before.time
        return is_on and all(
            getattr(self, name) >= getattr(before, name) for name in _RATES.values()
        )

    def _rate(self, before: VMUsage, counter: str) -> float:
        used: float = getattr(self, counter) - getattr(before, counter)
        return used / (self.time - before.time)


@attrs.frozen(kw_only=True)
class VMLoad:
    """What a VM does: its counters, and how fast they went lately.

    Rates are ``None`` while there is no telling: at the first look, and while it is off.
    """

    usage: VMUsage
    cpu_percent: float | None
    """Processor time; 100 is one processor of the host, whole."""
    disk_read_rate: float | None
    """Bytes a second."""
    disk_write_rate: float | None
    """Bytes a second."""
    net_receive_rate: float | None
    """Bytes a second that the guest got."""
    net_send_rate: float | None
    """Bytes a second that the guest sent."""


_RATES = {
    "cpu_percent": "cpu_seconds",
    "disk_read_rate": "disk_read",
    "disk_write_rate": "disk_written",
    "net_receive_rate": "net_received",
    "net_send_rate": "net_sent",
}
"""Rates and the counters that they are of."""


def read_usage(context: PrefixContext, vms: Iterable[VMPlan]) -> tuple[VMUsage, ...]:
    """Return what VMs have used, by one question to libvirt.

    Raises:
        HostError: The host's libvirtd does not answer.
    """
    found = {}
    if not context.world.host.is_ended():
        found = dict(context.hypervisor.read_statistics(context.plan.uuid))
    now = context.world.clock.monotonic()
    return tuple(
        _describe(vm, found.get(vm.domain, _NOTHING), now) for vm in vms if not vm.is_remote
    )


def get_usage(vm: VMPlan, context: PrefixContext) -> VMUsage:
    """Return what *vm* has used since it was started.

    Raises:
        VMError: Somebody else runs it.
        HostError: The host's libvirtd does not answer.
    """
    for usage in read_usage(context, [vm]):
        return usage
    message = f"nobody counts what {vm.name!r} uses: somebody else runs it"
    raise VMError(vm.name, message, hint=f"log in to it: lagoctl shell {vm.name}")


def _describe(vm: VMPlan, known: DomainStatistics, now: float) -> VMUsage:
    counters = attrs.asdict(known, filter=attrs.filters.exclude("state"))
    return VMUsage(name=vm.name, state=known.state, time=now, **counters)


def watch_usage(
    read: Callable[[], tuple[VMUsage, ...]], wait: Callable[[float], object], interval: float
) -> Iterator[tuple[VMLoad, ...]]:
    """Yield what VMs do, over and over; the first rates come after one interval.

    Args:
        read: Reads their counters.
        wait: Waits for some seconds.
        interval: Seconds between two looks.

    Raises:
        LagoError: The interval is none.
    """
    check_interval(interval)
    before = {usage.name: usage for usage in read()}
    while True:
        wait(interval)
        now = read()
        yield tuple(usage.since(before.get(usage.name)) for usage in now)
        before = {usage.name: usage for usage in now}


def check_interval(seconds: float) -> None:
    """Return when that is a time to wait between two looks.

    Raises:
        LagoError: It is not.
    """
    if not 0.05 <= seconds <= 86_400:
        message = f"nothing can be watched every {seconds:g} seconds"
        raise LagoError(message, hint="take an interval from 0.05 seconds to a day")
