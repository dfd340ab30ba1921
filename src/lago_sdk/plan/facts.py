"""What the planner and the renderers need to know of the world, as data."""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Network

import attrs


class Accel(enum.Enum):
    """What executes a guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"


@attrs.frozen(kw_only=True)
class Taken:
    """What others on a shared host use already; empty on a private host."""

    subnets: frozenset[IPv4Network] = frozenset()
    """IPv4 subnets that others lease or route."""
    subnets6: frozenset[IPv6Network] = frozenset()
    names: frozenset[str] = frozenset()
    """libvirt network names and network devices there are."""


@attrs.frozen(kw_only=True)
class CpuModel:
    """A CPU model that libvirt knows."""

    name: str
    vendor: str
    """``Intel``, ``AMD``, …; ``generic`` when the model has none."""


@attrs.frozen(kw_only=True)
class HostFacts:
    """What a domain's XML depends on beside the plan."""

    accel: Accel
    emulator: str
    """Absolute path of the QEMU system emulator."""
    arch: str = "x86_64"
    cpu_vendor: str = "generic"
    """Vendor of the host's CPU in libvirt's words."""
    cpu_flags: frozenset[str] = frozenset()
    """Flags of the host's CPU as ``/proc/cpuinfo`` spells them."""
    cpu_models: tuple[CpuModel, ...] = ()
    """The CPU models of libvirt's map."""
    libvirt_version: int = 9_000_000
    """As libvirt counts: major * 1,000,000 + minor * 1,000 + micro."""
