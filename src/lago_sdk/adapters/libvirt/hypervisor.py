"""libvirt behind the `Hypervisor` port."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.connection import Connection
from lago_sdk.adapters.libvirt.errors import Reason, find_reason, tolerated, translated
from lago_sdk.adapters.libvirt.states import state_reason, vm_state
from lago_sdk.ports import DomainInfo
from lago_sdk.render.tags import parse_tag
from lago_sdk.state import NetState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GONE = (Reason.ABSENT, Reason.STATE)
"""Somebody else was faster: it is off, or away, already."""


class LibvirtHypervisor:
    """The libvirtd at a URI, as a `lago_sdk.ports.Hypervisor`.

    It may be used by many threads at once. All methods raise `HostError` when the daemon cannot
    be reached and `HypervisorError` when it refuses.

    Args:
        uri: libvirt URI, for example ``qemu:///system``.
    """

    def __init__(self, uri: str) -> None:
        self._connection = Connection(uri)
        self._owners: dict[str, str | None] = {}
        """The prefix of each domain and network by its libvirt uuid: a tag never changes."""
        self._lock = threading.Lock()
        self._defining = threading.Lock()

    def version(self) -> int:
        """See `Hypervisor.version`."""
        with self._doing("ask for the version of libvirt") as connection:
            return int(connection.getLibVersion())

    def close(self) -> None:
        """Close the connection; domains and networks stay as they are."""
        self._connection.close()

    # -- domains -------------------------------------------------------------------------

    def list_domains(self, prefix_uuid: str) -> tuple[DomainInfo, ...]:
        """See `Hypervisor.list_domains`.

        Tags are read from domains that were not seen before only.
        """
        import libvirt

        with self._doing("list domains") as connection:
            found = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
            infos = [
                _describe(domain, stats["state.state"], stats["state.reason"])
                for domain, stats in found
                if self._find_owner(domain) == prefix_uuid
            ]
        return tuple(sorted(infos, key=lambda info: info.name))

    def find_domain(self, name: str) -> DomainInfo | None:
        """See `Hypervisor.find_domain`."""
        with self._doing(f"look at domain {name!r}") as connection, tolerated(Reason.ABSENT):
            domain = connection.lookupByName(name)
            state, reason = domain.state()
            return _describe(domain, state, reason)
        return None

    def create_domain(self, xml: str) -> None:
        """See `Hypervisor.create_domain`.

        One that is active is left alone; a new one that does not start is forgotten again.
        """
        import libvirt

        name = _parse_name(xml)
        with self._doing(f"start domain {name!r}") as connection:
            domain = _find_domain(connection, name)
            if domain is not None and domain.isActive():
                return
            is_new = domain is None
            # libvirtd (9.0) may fail to read its schema for two requests at the same time.
            with self._defining:
                domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            try:
                domain.create()
            except libvirt.libvirtError as error:
                if _is_active(domain):
                    return
                if is_new:
                    with tolerated(*_GONE):
                        _undefine_domain(domain)
                raise error

    def end_domain(self, name: str) -> None:
        """See `Hypervisor.end_domain`."""
        with self._doing(f"power off domain {name!r}") as connection, tolerated(*_GONE):
            connection.lookupByName(name).destroy()

    def shutdown_domain(self, name: str) -> None:
        """See `Hypervisor.shutdown_domain`; nothing happens when it is off or absent."""
        with self._doing(f"shut down domain {name!r}") as connection, tolerated(*_GONE):
            domain = connection.lookupByName(name)
            if domain.isActive():
                _press_power_button(domain)

    def remove_domain(self, name: str) -> None:
        """See `Hypervisor.remove_domain`."""
        with self._doing(f"remove domain {name!r}") as connection, tolerated(Reason.ABSENT):
            domain = connection.lookupByName(name)
            with tolerated(*_GONE):
                domain.destroy()
            _undefine_domain(domain)

    # -- networks ------------------------------------------------------------------------

    def list_networks(self, prefix_uuid: str) -> Mapping[str, NetState]:
        """See `Hypervisor.list_networks`."""
        import libvirt

        states = {
            NetState.UP: libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE,
            NetState.DOWN: libvirt.VIR_CONNECT_LIST_NETWORKS_INACTIVE,
        }
        with self._doing("list networks") as connection:
            return {
                network.name(): state
                for state, flag in states.items()
                for network in connection.listAllNetworks(flag)
                if self._find_owner(network) == prefix_uuid
            }

    def find_network(self, name: str) -> NetState | None:
        """See `Hypervisor.find_network`."""
        with self._doing(f"look at network {name!r}") as connection, tolerated(Reason.ABSENT):
            return NetState.UP if connection.networkLookupByName(name).isActive() else NetState.DOWN
        return None

    def create_network(self, xml: str) -> None:
        """See `Hypervisor.create_network`.

        One that is active is left alone; a new one that does not start is forgotten again.
        """
        import libvirt

        name = _parse_name(xml)
        with self._doing(f"start network {name!r}") as connection:
            network = _find_network(connection, name)
            if network is not None and network.isActive():
                return
            is_new = network is None
            network = connection.networkDefineXML(xml)
            try:
                network.create()
            except libvirt.libvirtError as error:
                if _is_active(network):
                    return
                if is_new:
                    with tolerated(*_GONE):
                        network.undefine()
                raise error

    def remove_network(self, name: str) -> None:
        """See `Hypervisor.remove_network`."""
        with self._doing(f"remove network {name!r}") as connection, tolerated(Reason.ABSENT):
            network = connection.networkLookupByName(name)
            with tolerated(*_GONE):
                network.destroy()
            network.undefine()

    # -- inside --------------------------------------------------------------------------

    @contextmanager
    def _doing(self, action: str) -> Iterator[Any]:
        """Give the open ``virConnect`` to a block that tries *action*; translate its errors."""
        connection = self._connection.get()
        with translated(action):
            yield connection

    def _find_owner(self, thing: Any) -> str | None:
        """Return the uuid of the prefix that a domain or network is tagged with."""
        key = thing.UUIDString()
        with self._lock:
            if key in self._owners:
                return self._owners[key]
        with tolerated(Reason.ABSENT):
            tag = parse_tag(thing.XMLDesc(0))
            owner = tag.prefix_uuid if tag is not None else None
            with self._lock:
                self._owners[key] = owner
            return owner
        return None


def _describe(domain: Any, state: int, reason: int) -> DomainInfo:
    known = vm_state(state)
    return DomainInfo(
        name=domain.name(),
        uuid=domain.UUIDString(),
        state=known,
        reason=state_reason(known, reason),
    )


def _parse_name(xml: str) -> str:
    return ET.fromstring(xml).findtext("name", "")  # noqa: S314 - rendered by us


def _find_domain(connection: Any, name: str) -> Any:
    with tolerated(Reason.ABSENT):
        return connection.lookupByName(name)
    return None


def _find_network(connection: Any, name: str) -> Any:
    with tolerated(Reason.ABSENT):
        return connection.networkLookupByName(name)
    return None


def _is_active(thing: Any) -> bool:
    with tolerated(Reason.ABSENT):
        return bool(thing.isActive())
    return False


def _undefine_domain(domain: Any) -> None:
    """Forget a domain with all that libvirt keeps for it."""
    import libvirt

    kept = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    kept_by_qemu = (
        libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    try:
        domain.undefineFlags(kept | kept_by_qemu)
    except libvirt.libvirtError as error:
        if find_reason(error) is not Reason.INVALID:
            raise
        domain.undefineFlags(kept)  # a driver that knows no firmware variables


def _press_power_button(domain: Any) -> None:
    """Ask the guest to power off by ACPI, and not by its agent, which may not answer."""
    import libvirt

    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        if find_reason(error) is not Reason.INVALID:
            raise
        domain.shutdown()  # a driver that knows one way only
