"""A hypervisor of dictionaries, for tests of what uses one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError
from lago_sdk.ports import DhcpLease, DomainInfo
from lago_sdk.render.tags import parse_tag
from lago_sdk.state import NetState, VMState
from lago_sdk.testing.agents import FakeAgents
from lago_sdk.testing.consoles import FakeConsoles
from lago_sdk.testing.devices import FakeDevices
from lago_sdk.testing.hypervisor_part import DomainRecord, FakePart, NetworkRecord, parse_xml
from lago_sdk.testing.screens import FakeScreens
from lago_sdk.testing.states import FakeStates
from lago_sdk.testing.statistics import FakeStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class FakeDomains(FakePart):
    """Domains that run nothing; guests obey at once."""

    def list_domains(self, prefix_uuid: str) -> tuple[DomainInfo, ...]:
        """See `Hypervisor.list_domains`."""
        with self._lock:
            self._begin("list_domains", prefix_uuid)
            return tuple(
                _describe(name, domain)
                for name, domain in sorted(self._domains.items())
                if domain.owner == prefix_uuid
            )

    def find_domain(self, name: str) -> DomainInfo | None:
        """See `Hypervisor.find_domain`."""
        with self._lock:
            self._begin("find_domain", name)
            domain = self._domains.get(name)
            return _describe(name, domain) if domain is not None else None

    def create_domain(self, xml: str) -> None:
        """See `Hypervisor.create_domain`."""
        name, uuid = parse_xml(xml, "domain")
        with self._lock:
            self._begin("create_domain", name)
            domain = self._domains.get(name)
            if domain is not None and domain.state.is_active:
                return
            if domain is not None and domain.uuid != uuid:
                message = f"cannot start domain {name!r}: it exists with uuid {domain.uuid}"
                raise HypervisorError(message)
            self._fail(name, "create")
            tag = parse_tag(xml)
            owner = tag.prefix_uuid if tag is not None else None
            self._domains[name] = DomainRecord(
                uuid=uuid, owner=owner, xml=xml, state=VMState.RUNNING, reason="booted"
            )

    def end_domain(self, name: str) -> None:
        """See `Hypervisor.end_domain`."""
        with self._lock:
            self._begin("end_domain", name)
            self._fail(name, "end")
            self._switch_off(name, "destroyed")

    def shutdown_domain(self, name: str) -> None:
        """See `Hypervisor.shutdown_domain`."""
        with self._lock:
            self._begin("shutdown_domain", name)
            self._fail(name, "shutdown")
            if name not in self._deaf:
                self._switch_off(name, "shut down")

    def has_power_button(self, name: str) -> bool:
        """See `Domains.has_power_button`."""
        with self._lock:
            self._begin("has_power_button", name)
            domain = self._domains.get(name)
            if domain is None:
                raise HypervisorError(f"cannot look at domain {name!r}: there is none")
            return domain.has_acpi

    def reboot_domain(self, name: str) -> None:
        """See `Domains.reboot_domain`."""
        with self._lock:
            self._begin("reboot_domain", name)
            self._fail(name, "reboot")
            domain = self._get_active(name, "reboot")
            if name not in self._deaf:
                domain.reboots += 1

    def reset_domain(self, name: str) -> None:
        """See `Domains.reset_domain`."""
        with self._lock:
            self._begin("reset_domain", name)
            self._fail(name, "reset")
            domain = self._get_active(name, "reset")
            domain.reboots += 1
            domain.state, domain.reason = VMState.RUNNING, "booted"

    @contextmanager
    def watch_reboot(self, name: str) -> Iterator[Callable[[], bool]]:
        """See `Domains.watch_reboot`."""
        with self._lock:
            self._begin("watch_reboot", name)
            domain = self._get_active(name, "watch")
            before = domain.reboots
        yield lambda: domain.reboots > before

    def suspend_domain(self, name: str) -> None:
        """See `Domains.suspend_domain`."""
        with self._lock:
            self._begin("suspend_domain", name)
            self._fail(name, "suspend")
            domain = self._get_active(name, "suspend")
            domain.state, domain.reason = VMState.PAUSED, "by user"

    def resume_domain(self, name: str) -> None:
        """See `Domains.resume_domain`."""
        with self._lock:
            self._begin("resume_domain", name)
            self._fail(name, "resume")
            domain = self._get_active(name, "resume")
            if domain.state is not VMState.RUNNING:
                domain.state, domain.reason = VMState.RUNNING, "unpaused"

    def remove_domain(self, name: str) -> None:
        """See `Hypervisor.remove_domain`."""
        with self._lock:
            self._begin("remove_domain", name)
            self._fail(name, "remove")
            self._domains.pop(name, None)


class FakeNetworks(FakePart):
    """Networks that carry nothing."""

    def list_networks(self, prefix_uuid: str) -> Mapping[str, NetState]:
        """See `Hypervisor.list_networks`."""
        with self._lock:
            self._begin("list_networks", prefix_uuid)
            return {
                name: network.state
                for name, network in self._networks.items()
                if network.owner == prefix_uuid
            }

    def find_network(self, name: str) -> NetState | None:
        """See `Hypervisor.find_network`."""
        with self._lock:
            self._begin("find_network", name)
            network = self._networks.get(name)
            return network.state if network is not None else None

    def create_network(self, xml: str) -> None:
        """See `Hypervisor.create_network`."""
        name, _uuid = parse_xml(xml, "network")
        with self._lock:
            self._begin("create_network", name)
            network = self._networks.get(name)
            if network is not None and network.state is NetState.UP:
                return
            self._fail(name, "create")
            tag = parse_tag(xml)
            owner = tag.prefix_uuid if tag is not None else None
            self._networks[name] = NetworkRecord(owner=owner, xml=xml, state=NetState.UP)

    def remove_network(self, name: str) -> None:
        """See `Hypervisor.remove_network`."""
        with self._lock:
            self._begin("remove_network", name)
            self._fail(name, "remove")
            self._networks.pop(name, None)

    def give_dhcp_lease(self, name: str, *, mac: str, address: str) -> None:
        """Let the DHCP server of the network *name* give *address* away."""
        with self._lock:
            lease = DhcpLease(mac=mac.lower(), address=address)
            self._networks[name].leases = (*self._networks[name].leases, lease)

    def list_dhcp_leases(self, name: str) -> tuple[DhcpLease, ...]:
        """See `Networks.list_dhcp_leases`."""
        with self._lock:
            self._begin("list_dhcp_leases", name)
            network = self._networks.get(name)
            return network.leases if network is not None else ()

    def reserve_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """See `Networks.reserve_address`."""
        with self._lock:
            self._begin("reserve_address", network)
            self._networks[network].reserved[mac] = (name, address)

    def release_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """See `Networks.release_address`."""
        del name, address
        with self._lock:
            self._begin("release_address", network)
            self._networks[network].reserved.pop(mac, None)


class FakeHypervisor(
    FakeAgents,
    FakeConsoles,
    FakeDevices,
    FakeDomains,
    FakeNetworks,
    FakeScreens,
    FakeStates,
    FakeStatistics,
):
    """A `lago_sdk.ports.Hypervisor` whose domains run nothing; guests obey at once.

    Args:
        version: libvirt's version that it claims.

    Attributes:
        calls: Methods that were called and the name of the domain or network (the prefix's uuid
            of a list), in order.
    """

    def version(self) -> int:
        """See `Hypervisor.version`."""
        return self._version

    def close(self) -> None:
        """There is nothing to close."""


def _describe(name: str, domain: DomainRecord) -> DomainInfo:
    return DomainInfo(name=name, uuid=domain.uuid, state=domain.state, reason=domain.reason)
