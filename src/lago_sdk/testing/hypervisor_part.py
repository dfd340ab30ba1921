"""What all parts of the fake hypervisor share: its records, and what tests arrange."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.errors import HypervisorError
from lago_sdk.ports import DhcpLease
from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    from lago_sdk.ports.screens import Picture
    from lago_sdk.ports.statistics import DomainStatistics
    from lago_sdk.testing.agents import FakeAgent
    from lago_sdk.testing.consoles import FakeConsole

Verb: TypeAlias = Literal[
    "attach",
    "create",
    "end",
    "shutdown",
    "reboot",
    "reset",
    "suspend",
    "resume",
    "remove",
    "save",
    "load",
]
"""What is done to a domain; networks are only created and removed."""


@attrs.define(kw_only=True)
class DomainRecord:
    """A domain as the fake keeps it."""

    uuid: str
    owner: str | None
    xml: str
    state: VMState = VMState.SHUT_OFF
    reason: str = ""
    has_acpi: bool = True
    reboots: int = 0
    holds_devices: bool = False
    memory: int = 0
    """MiB that its guest was left, by the balloon; 0 where nobody asked."""
    pulled: set[str] = attrs.field(factory=set)
    run: int = attrs.field(factory=partial(next, itertools.count(1)))
    """Number of its process; another one has begun where it differs."""
    writes: int = 0
    received: tuple[int, int] = (0, 0)
    """Bytes and packets."""


@attrs.define(kw_only=True)
class NetworkRecord:
    """A network as the fake keeps it."""

    owner: str | None
    xml: str
    state: NetState = NetState.DOWN
    leases: tuple[DhcpLease, ...] = ()
    reserved: dict[str, tuple[str, str]] = attrs.field(factory=dict)


class FakePart:
    """A part of the fake hypervisor; the parts are summed in `FakeHypervisor`.

    Args:
        version: libvirt's version that it claims.

    Attributes:
        calls: Methods that were called and the name of the domain or network (the prefix's uuid
            of a list), in order.
    """

    def __init__(self, *, version: int = 9_000_000) -> None:
        self._version = version
        self._domains: dict[str, DomainRecord] = {}
        self._networks: dict[str, NetworkRecord] = {}
        self._failures: dict[tuple[str, Verb], Exception] = {}
        self._deaf: set[str] = set()
        self._agents: dict[str, FakeAgent] = {}
        self._consoles: dict[str, FakeConsole] = {}
        self._pictures: dict[str, Picture] = {}
        self._counters: dict[str, DomainStatistics] = {}
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.RLock()

    def fail(self, name: str, error: Exception | None, *, on: Verb = "create") -> None:
        """Have a verb on the domain or network *name* raise *error*; ``None`` makes it work."""
        with self._lock:
            self._failures.pop((name, on), None)
            if error is not None:
                self._failures[name, on] = error

    def ignore_shutdown(self, name: str) -> None:
        """Let the guest of *name* run on when it is asked to power off or to reboot."""
        with self._lock:
            self._deaf.add(name)

    def reboot_guest(self, name: str) -> None:
        """Let the guest of the domain *name* reboot by itself.

        Raises:
            KeyError: There is no such domain.
        """
        with self._lock:
            self._domains[name].reboots += 1

    def remove_acpi(self, name: str) -> None:
        """Take the power button from the domain *name*.

        Raises:
            KeyError: There is no such domain.
        """
        with self._lock:
            self._domains[name].has_acpi = False

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

    def _get_active(self, name: str, action: str) -> DomainRecord:
        domain = self._domains.get(name)
        if domain is None or not domain.state.is_active:
            raise HypervisorError(f"cannot {action} domain {name!r}: domain is not running")
        return domain


def parse_xml(xml: str, kind: str) -> tuple[str, str]:
    """Return name and uuid of a domain or network, as libvirt would accept them."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - a test's own
    except ET.ParseError as error:
        raise HypervisorError(f"cannot start {kind}: {error}") from error
    name = root.findtext("name", "")
    if root.tag != kind or not name:
        raise HypervisorError(f"cannot start {kind}: <{root.tag}> named {name!r} is not one")
    return name, root.findtext("uuid", "")
