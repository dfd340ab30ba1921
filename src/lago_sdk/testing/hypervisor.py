"""A hypervisor of dictionaries, for tests of what uses one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, TypeAlias
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.errors import HypervisorError
from lago_sdk.ports import DomainInfo
from lago_sdk.render.tags import parse_tag
from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    from collections.abc import Mapping

Verb: TypeAlias = Literal["create", "end", "shutdown", "remove"]
"""What is done to a domain; networks are only created and removed."""


@attrs.define(kw_only=True)
class _Domain:
    uuid: str
    owner: str | None
    xml: str
    state: VMState = VMState.SHUT_OFF
    reason: str = ""


@attrs.define(kw_only=True)
class _Network:
    owner: str | None
    xml: str
    state: NetState = NetState.DOWN


class FakeHypervisor:
    """A `lago_sdk.ports.Hypervisor` whose domains run nothing; guests obey at once.

    Args:
        version: libvirt's version that it claims.

    Attributes:
        calls: Methods that were called and the name of the domain or network (the prefix's uuid
            of a list), in order.
    """

    def __init__(self, *, version: int = 9_000_000) -> None:
        self._version = version
        self._domains: dict[str, _Domain] = {}
        self._networks: dict[str, _Network] = {}
        self._failures: dict[tuple[str, Verb], Exception] = {}
        self._deaf: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.RLock()

    # -- what tests arrange and look at ----------------------------------------------------

    def fail(self, name: str, error: Exception | None, *, on: Verb = "create") -> None:
        """Have a verb on the domain or network *name* raise *error*; ``None`` makes it work."""
        with self._lock:
            self._failures.pop((name, on), None)
            if error is not None:
                self._failures[name, on] = error

    def ignore_shutdown(self, name: str) -> None:
        """Let the guest of the domain *name* run on when it is asked to power off."""
        with self._lock:
            self._deaf.add(name)

    def count(self, method: str) -> int:
        """Return how often *method* was called."""
        with self._lock:
            return sum(called == method for called, _name in self.calls)

    def clear(self) -> None:
        """Let everything go at once, as when the namespaces of a private host end."""
        with self._lock:
            self._domains.clear()
            self._networks.clear()

    def set_domain_state(self, name: str, state: VMState, reason: str = "") -> None:
        """Let something happen to a domain: its guest crashes, somebody pauses it.

        Raises:
            KeyError: There is no such domain.
        """
        with self._lock:
            domain = self._domains[name]
            domain.state, domain.reason = state, reason

    def get_domain_xml(self, name: str) -> str:
        """Return the XML a domain was last defined with.

        Raises:
            KeyError: There is no such domain.
        """
        with self._lock:
            return self._domains[name].xml

    def get_network_xml(self, name: str) -> str:
        """Return the XML a network was last defined with.

        Raises:
            KeyError: There is no such network.
        """
        with self._lock:
            return self._networks[name].xml

    # -- the port --------------------------------------------------------------------------

    def version(self) -> int:
        """See `Hypervisor.version`."""
        return self._version

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
        name, uuid = _parse(xml, "domain")
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
            self._domains[name] = _Domain(
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

    def remove_domain(self, name: str) -> None:
        """See `Hypervisor.remove_domain`."""
        with self._lock:
            self._begin("remove_domain", name)
            self._fail(name, "remove")
            self._domains.pop(name, None)

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
        name, _uuid = _parse(xml, "network")
        with self._lock:
            self._begin("create_network", name)
            network = self._networks.get(name)
            if network is not None and network.state is NetState.UP:
                return
            self._fail(name, "create")
            tag = parse_tag(xml)
            owner = tag.prefix_uuid if tag is not None else None
            self._networks[name] = _Network(owner=owner, xml=xml, state=NetState.UP)

    def remove_network(self, name: str) -> None:
        """See `Hypervisor.remove_network`."""
        with self._lock:
            self._begin("remove_network", name)
            self._fail(name, "remove")
            self._networks.pop(name, None)

    def close(self) -> None:
        """There is nothing to close."""

    def _begin(self, method: str, name: str) -> None:
        self.calls.append((method, name))

    def _fail(self, name: str, verb: Verb) -> None:
        error = self._failures.get((name, verb))
        if error is not None:
            raise error

    def _switch_off(self, name: str, reason: str) -> None:
        domain = self._domains.get(name)
        if domain is not None and domain.state.is_active:
            domain.state, domain.reason = VMState.SHUT_OFF, reason


def _describe(name: str, domain: _Domain) -> DomainInfo:
    return DomainInfo(name=name, uuid=domain.uuid, state=domain.state, reason=domain.reason)


def _parse(xml: str, kind: str) -> tuple[str, str]:
    """Return name and uuid of a domain or network, as libvirt would accept them."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - a test's own
    except ET.ParseError as error:
        raise HypervisorError(f"cannot start {kind}: {error}") from error
    name = root.findtext("name", "")
    if root.tag != kind or not name:
        raise HypervisorError(f"cannot start {kind}: <{root.tag}> named {name!r} is not one")
    return name, root.findtext("uuid", "")
