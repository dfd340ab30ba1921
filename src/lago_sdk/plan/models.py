"""The plan: the spec with every subnet, address, MAC, name and path decided.

A plan is pure data. Paths are relative to the prefix directory (``images/web_root.qcow2``)
where the file belongs to the prefix, so that a prefix can be moved, and absolute elsewhere.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs

from lago_sdk.spec.disk import DiskBus, DiskFormat, DiskSpec
from lago_sdk.spec.lookup import get_net, get_vm
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import LOCAL, Bootstrap, VMSpec

LOCAL_PROVIDER = "local-libvirt"
"""``vm-provider`` of VMs that run on the prefix's host, which is the default."""
SSH_PROVIDER = "ssh"
"""``vm-provider`` of machines that are there already, and that are only logged in to."""


def is_remote(vm: VMSpec) -> bool:
    """Whether something else than the prefix's host runs *vm*."""
    return vm.vm_provider not in LOCAL


class AddressMethod(enum.Enum):
    """How a nic gets its addresses in the guest."""

    DHCP = "dhcp"
    """From the net's DHCP server, which has a reservation for it."""
    STATIC = "static"
    """Written into the guest's network configuration."""
    NONE = "none"
    """Not at all."""


@attrs.frozen(kw_only=True)
class Image:
    """A disk image that overlays are made on: a template of the store, or a user's own file."""

    path: str
    """Absolute path."""
    format: DiskFormat = DiskFormat.QCOW2
    size: int
    """Size that a guest sees, in bytes."""
    digest: str | None = None
    """``sha256:<hex>`` of the file, where known."""
    backing: str | None = None
    """The image below it, as its file says: absolute where it is a path."""
    metadata: Mapping[str, object] = attrs.field(factory=dict)
    """The template's facts: ``distro``, ``arch``, ``root-partition``, ``ssh-user``, …"""


@attrs.frozen(kw_only=True)
class NicPlan:
    """One network interface, decided."""

    spec: NicSpec
    index: int
    """Position among the VM's nics, from 0; the ``N`` of Lago's ``eth<N>``."""
    net: str
    mac: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    method: AddressMethod = AddressMethod.NONE


@attrs.frozen(kw_only=True)
class DiskPlan:
    """One disk, decided."""

    spec: DiskSpec
    name: str
    dev: str
    """``vda``, ``sdb``, …: unique in its VM."""
    bus: DiskBus
    path: str
    """The image; relative to the prefix where the prefix owns it."""
    format: DiskFormat
    template: str | None = None
    """``name`` or ``name:version`` of the template that the overlay is made on."""
    backing: Image | None = None
    """The image below the overlay; ``None`` for others, or while the template is not resolved."""
    owned: bool = True
    """Whether the image is a file of the prefix, made by create and removed by destroy."""


@attrs.frozen(kw_only=True)
class VMPlan:
    """One VM, decided."""

    spec: VMSpec
    name: str
    domain: str
    """Name of the libvirt domain."""
    uuid: str
    """UUID of the libvirt domain, in canonical form."""
    nics: tuple[NicPlan, ...]
    disks: tuple[DiskPlan, ...]
    management: str
    """Name of the net over which the library talks to it; empty when it has no nics."""
    bootstrap: Bootstrap
    """How its guest is prepared; never ``AUTO``."""
    bootstrap_reason: str = ""
    """Why that way: the rest of a sentence that begins with its name."""
    seed: str | None
    """The seed medium, relative to the prefix; ``None`` without one."""
    console_log: str
    """Where its console is logged, relative to the prefix."""
    hostname: str
    dns_domain: str | None = None
    distro: str | None = None
    ssh_user: str = "root"

    @property
    def is_remote(self) -> bool:
        """Whether it is not on the prefix's host: libvirt and the nets there know nothing of it."""
        return is_remote(self.spec)

    @property
    def provider(self) -> str:
        """Name of what runs it."""
        return self.spec.vm_provider or LOCAL_PROVIDER

    @property
    def iscsi_name(self) -> str:
        """Name of the guest's iSCSI initiator, as Lago gave it."""
        return f"iqn.2014-07.org.lago:{self.name}"

    @property
    def management_nic(self) -> NicPlan | None:
        """The nic on the management net (the first, where there are several)."""
        return next((nic for nic in self.nics if nic.net == self.management), None)


@attrs.frozen(kw_only=True)
class DhcpHost:
    """A DHCP reservation."""

    mac: str
    name: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None


@attrs.frozen(kw_only=True)
class DnsRecord:
    """An address and the names it answers to."""

    ip: IPv4Address | IPv6Address
    names: tuple[str, ...]


@attrs.frozen(kw_only=True)
class NetPlan:
    """One net, decided."""

    spec: NetSpec
    name: str
    network: str
    """Name of the libvirt network: at most 15 characters, made from the prefix's uuid."""
    bridge: str
    """Name of the bridge device: at most 15 characters; unique on its host."""
    bridge_mac: str
    """MAC of the bridge: fixed, so that a fork or a restart is the same gateway to guests."""
    is_management: bool
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    dhcp_range: tuple[IPv4Address, IPv4Address] | None = None
    """First and last address for strangers; ``None`` when the net has no DHCP."""
    dhcp_hosts: tuple[DhcpHost, ...] = ()
    dns_domain: str | None = None
    dns_records: tuple[DnsRecord, ...] = ()
    """What the net's DNS server answers; empty on nets that run none."""
    dns_forward: IPv4Address | None = None
    """The main management net's gateway, on nets that are not management."""
    mapping: Mapping[str, str] = attrs.field(factory=dict)
    """Names of VMs and their IPv4 (else IPv6) addresses on this net, by Lago's rules."""
    mtu: int = 1500


@attrs.frozen(kw_only=True)
class Plan:
    """A whole prefix, decided."""

    uuid: str
    """The prefix's uuid: 32 hex digits."""
    vms: tuple[VMPlan, ...]
    nets: tuple[NetPlan, ...]

    def get_vm(self, name: str) -> VMPlan:
        """Return the plan of the VM *name*.

        Raises:
            VMNotFoundError: There is none; the hint names those there are.
        """
        return get_vm(self.vms, name)

    def get_net(self, name: str) -> NetPlan:
        """Return the plan of the net *name*.

        Raises:
            NetNotFoundError: There is none; the hint names those there are.
        """
        return get_net(self.nets, name)
