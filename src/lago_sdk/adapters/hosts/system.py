"""The system host: the machine's own libvirtd, shared with whoever else uses it."""

from __future__ import annotations

import json
import platform
import secrets
import socket
import threading
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from lago_sdk.adapters import process
from lago_sdk.adapters.hosts import checks
from lago_sdk.adapters.hosts.findings import Finding
from lago_sdk.adapters.listening import Listeners
from lago_sdk.errors import CaptureError, HostError, HypervisorError
from lago_sdk.plan.facts import HostFacts, Taken
from lago_sdk.ports import HostKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor
    from lago_sdk.adapters.packets import SocketTap
    from lago_sdk.config import AccelChoice
    from lago_sdk.results import CommandResult

SYSTEM_URI = "qemu:///system"
_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
"""Of libvirt's QEMU daemon where it is split up by driver, and of libvirtd."""
_CONNECT_SECONDS = 2.0


class SystemHost:
    """A libvirtd that is there without us. Safe to use from several threads.

    Args:
        uri: Its libvirt URI, for example ``qemu:///system``.
        uuid: The prefix's uuid, 32 hex digits.
        accel: What shall execute the guests' instructions.
    """

    def __init__(self, *, uri: str, uuid: str, accel: AccelChoice) -> None:
        self._uri = uri
        self._uuid = uuid
        self._accel = accel
        self._listeners = Listeners()
        self._hypervisor: LibvirtHypervisor | None = None
        self._mutex = threading.Lock()

    @property
    def kind(self) -> HostKind:
        """``SYSTEM``, or ``REMOTE`` where the URI names another machine."""
        return HostKind.REMOTE if is_remote(self._uri) else HostKind.SYSTEM

    @property
    def uri(self) -> str:
        """URI of its libvirtd."""
        return self._uri

    def is_up(self) -> bool:
        """Whether its libvirtd answers."""
        try:
            self.hypervisor().version()
        except (HostError, HypervisorError):
            return False
        return True

    def is_ended(self) -> bool:
        """Never: where its libvirtd does not answer, VMs may run on."""
        return False

    def start(self) -> None:
        """Connect: there is nothing to bring up.

        Raises:
            HostError: Its libvirtd takes no connection.
        """
        self.hypervisor()

    def end(self) -> None:
        """Close the connection: it was here before us and stays."""
        self.close()

    def close(self) -> None:
        """Close the connection to libvirtd; what runs keeps running."""
        self._listeners.close()
        with self._mutex:
            hypervisor, self._hypervisor = self._hypervisor, None
        if hypervisor is not None:
            hypervisor.close()

    def facts(self) -> HostFacts:
        """What domains here depend on.

        Raises:
            MissingToolError: QEMU is not installed.
            HostError: KVM is demanded and does not work, or libvirtd takes no connection.
        """
        from lago_sdk.adapters import cpu

        accel, _ = cpu.find_accel(self._accel)
        facts = cpu.find_cpu_facts()
        return HostFacts(
            accel=accel,
            emulator=checks.get_emulator(),
            arch=platform.machine(),
            cpu_vendor=facts.vendor,
            cpu_flags=facts.flags,
            cpu_models=cpu.list_cpu_models(),
            libvirt_version=self.hypervisor().version(),
        )

    def taken(self) -> Taken:
        """Subnets that the machine routes, and names of its network devices; ours left out.

        A libvirt network's name is not looked at where it is down: our names begin with digits
        of the uuid, and only another prefix that was cut off has such a one.

        Raises:
            HostError: libvirtd takes no connection.
        """
        own = frozenset(self.hypervisor().list_networks(self._uuid))
        routes = _ask_ip("-4", "route") + _ask_ip("-6", "route")
        links = _ask_ip("addr")
        subnets = list_subnets(routes, links, own=own)
        names = {str(link["ifname"]) for link in links}
        return Taken(
            subnets=frozenset(x for x in subnets if isinstance(x, IPv4Network)),
            subnets6=frozenset(x for x in subnets if isinstance(x, IPv6Network)),
            names=frozenset(names - own),
        )

    def hypervisor(self) -> LibvirtHypervisor:
        """The connection to its libvirtd, opened on first use and kept.

        Raises:
            HostError: It takes no connection; the hint says what to install or allow.
        """
        from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor

        with self._mutex:
            if self._hypervisor is None or self._hypervisor.is_lost():
                hypervisor = self._hypervisor or LibvirtHypervisor(self._uri)
                try:
                    hypervisor.version()  # it connects on first use
                except (HostError, HypervisorError) as error:
                    hint = next((x.hint for x in check_system(self._uri) if not x.ok), error.hint)
                    raise HostError(error.message, hint=hint) from error
                self._hypervisor = hypervisor
            return self._hypervisor

    def dial(self, address: str, port: int, *, timeout: float) -> socket.socket:
        """Return a socket connected to *address*, by the machine's own routes.

        Args:
            address: IPv4 or IPv6 address.
            port: TCP port.
            timeout: Seconds for the connection; the socket itself has no timeout.

        Raises:
            OSError: As ``socket.create_connection``.
        """
        new = socket.create_connection((address, port), timeout=timeout)
        new.settimeout(None)
        return new

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0) -> CommandResult:
        """Run a command on the machine, in ``/``.

        Raises:
            MissingToolError: The program is not installed.
            ToolError: No end within *timeout* seconds.
        """
        return process.run(argv, timeout=timeout, cwd="/", check=False)

    def open_tap(self, device: str, *, words: Sequence[str] = (), snaplen: int) -> SocketTap:
        """Listen on a network device of the machine; that needs to be root.

        Args:
            device: Its name.
            words: A filter in the language of pcap-filter(7).
            snaplen: Bytes of a packet that are kept at most.

        Raises:
            CaptureError: We are not root, there is no such device, or the filter makes no sense.
            MissingToolError: There is a filter, and no tcpdump, which compiles it.
        """
        from lago_sdk.adapters.packets import SocketTap

        if self.kind is HostKind.REMOTE:
            message = "packets of another machine's networks cannot be captured from here"
            raise CaptureError(message, hint="run lagoctl on that machine")
        try:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            message = "packets of the machine's own networks are for root alone"
            hint = "run it as root, or use a private host, where no privilege is needed"
            raise CaptureError(message, hint=hint) from error
        return SocketTap(raw, device, words=words, snaplen=snaplen)

    def listen(
        self,
        vm: str,
        *,
        macs: Collection[str],
        gateways: Collection[str],
        ports: Collection[int] = (),
    ) -> str | None:
        """Listen for packets to a VM, in this process; only root may.

        Args:
            vm: Its name.
            macs: Addresses of its nics.
            gateways: Addresses of the host in its nets.
            ports: Ports of our connections to it that are at rest.
        """
        from lago_sdk.adapters.listening import PROTOCOL, make_filter, start_listener

        if self.kind is HostKind.REMOTE:
            return None
        try:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, PROTOCOL)
        except PermissionError:
            return None
        try:
            start_listener(raw, make_filter(macs, gateways, ports))
        except OSError:
            raw.close()
            return None
        token = secrets.token_hex(8)
        self._listeners.add(vm, token, raw)
        return token

    def heard(self) -> Mapping[str, bool]:
        """See `Host.heard`; of what this process listens to."""
        return self._listeners.heard()


def is_remote(uri: str) -> bool:
    """Whether a libvirt URI names another machine, or a transport that may lead to one."""
    parts = urlsplit(uri)
    _, _, transport = parts.scheme.partition("+")
    return bool(parts.hostname) or transport not in {"", "unix"}


def check_system(uri: str = SYSTEM_URI) -> tuple[Finding, ...]:
    """Look at all that the system host needs; changes nothing."""
    programs = ("ip", checks.EMULATOR)
    return (*(checks.check_program(name) for name in programs), _check_socket(uri))


def list_subnets(
    routes: Sequence[dict[str, object]],
    links: Sequence[dict[str, object]],
    *,
    own: Collection[str] = (),
) -> frozenset[IPv4Network | IPv6Network]:
    """Gather subnets from what ``ip -j route`` and ``ip -j addr`` print.

    Args:
        routes: Routes; the default route takes nothing.
        links: Devices with their addresses.
        own: Devices that do not count.
    """
    found: set[IPv4Network | IPv6Network] = set()
    for route in routes:
        if route.get("dev") not in own and route["dst"] != "default":
            found.add(ip_network(str(route["dst"]), strict=False))
    for link in links:
        if link["ifname"] not in own:
            found.update(_list_addresses(link))
    return frozenset(found)


def _list_addresses(link: dict[str, object]) -> Iterator[IPv4Network | IPv6Network]:
    addresses = link.get("addr_info")
    for item in addresses if isinstance(addresses, list) else []:
        if "local" in item:
            yield ip_network(f"{item['local']}/{item['prefixlen']}", strict=False)


def _ask_ip(*words: str) -> list[dict[str, object]]:
    text = process.run(["ip", "-j", *words], timeout=10).out
    answer: list[dict[str, object]] = json.loads(text or "[]")
    return answer


def _check_socket(uri: str) -> Finding:
    """Look whether the daemon listens, and to us."""
    name = "system libvirtd"
    given = parse_qs(urlsplit(uri).query).get("socket")
    message, hint = "no libvirtd listens", "as root: systemctl enable --now libvirtd"
    for path in given or _SOCKETS:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_CONNECT_SECONDS)
            try:
                client.connect(path)
            except FileNotFoundError:
                continue
            except PermissionError:
                message, hint = f"we may not connect to {path}", "join the group libvirt"
            except OSError as error:
                message = f"no libvirtd listens on {path}: {error.strerror or error}"
            else:
                return Finding(name=name, ok=True, message=f"{path} takes connections")
    if process.find_tool("libvirtd") is None and process.find_tool("virtqemud") is None:
        hint = "install it: apt-get install libvirt-daemon-system"
    return Finding(name=name, ok=False, message=message, hint=hint)
