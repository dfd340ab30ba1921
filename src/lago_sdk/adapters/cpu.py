"""Facts of the machine's processor: whether KVM works, its vendor and flags, libvirt's models."""

from __future__ import annotations

import os
import platform
import re
from functools import lru_cache
from pathlib import Path

import attrs

from lago_sdk.config import AccelChoice
from lago_sdk.errors import HostError
from lago_sdk.plan.facts import Accel, CpuModel

_CPUINFO = Path("/proc/cpuinfo")
_KVM = Path("/dev/kvm")
_CPU_MAP = Path("/usr/share/libvirt/cpu_map")
_X86 = frozenset({"x86_64", "i686"})
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}
"""The processor's word and libvirt's: x86_vendors.xml of libvirt's CPU map."""
_MODEL = re.compile(r"<model name=['\"]([^'\"]+)['\"]")
_VENDOR = re.compile(r"<vendor name=['\"]([^'\"]+)['\"]")


@attrs.frozen(kw_only=True)
class CpuFacts:
    """The machine's processor."""

    vendor: str
    """In libvirt's words; ``generic`` when libvirt has none for it."""
    flags: frozenset[str]
    """As ``/proc/cpuinfo`` spells them."""


def find_accel(choice: AccelChoice) -> tuple[Accel, str]:
    """Decide what executes guests' instructions, and say why in words.

    On x86 an openable ``/dev/kvm`` is not enough: a hypervisor without nesting may show one
    that accepts a VM and then hangs it. The processor's flags tell.

    Raises:
        HostError: KVM is demanded and cannot be used.
    """
    if choice is AccelChoice.TCG:
        return Accel.TCG, "asked for"
    obstacle, hint = _find_obstacle()
    if obstacle is None:
        return Accel.KVM, f"{_KVM} can be used"
    if choice is AccelChoice.KVM:
        raise HostError(f"KVM cannot be used: {obstacle}", hint=hint)
    return Accel.TCG, obstacle


@lru_cache(maxsize=1)
def find_cpu_facts() -> CpuFacts:
    """Read the processor's vendor and flags; once a process."""
    return parse_cpuinfo(_CPUINFO.read_text(errors="replace"))


def parse_cpuinfo(text: str) -> CpuFacts:
    """Parse the first processor of ``/proc/cpuinfo`` (proc(5))."""
    first, _, _ = text.partition("\n\n")
    rows = {key.strip(): value.strip() for key, _, value in _split_rows(first)}
    flags = rows.get("flags") or rows.get("Features") or ""
    vendor = _VENDORS.get(rows.get("vendor_id", ""), "generic")
    return CpuFacts(vendor=vendor, flags=frozenset(flags.split()))


@lru_cache(maxsize=1)
def list_cpu_models() -> tuple[CpuModel, ...]:
    """The CPU models that libvirt knows for this machine's architecture; read once a process.

    Source: ``/usr/share/libvirt/cpu_map``, one file for each model; empty without libvirt.
    """
    prefix = "x86" if platform.machine() in _X86 else platform.machine().replace("aarch64", "arm")
    models = (parse_cpu_model(path.read_text()) for path in _CPU_MAP.glob(f"{prefix}_*.xml"))
    return tuple(sorted((model for model in models if model), key=lambda model: model.name))


def parse_cpu_model(text: str) -> CpuModel | None:
    """Parse one file of libvirt's CPU map; ``None`` for its lists of features and vendors.

    By expression: an XML parser takes 25 ms for the whole map, this takes 4.
    """
    name = _MODEL.search(text)
    if name is None:
        return None
    vendor = _VENDOR.search(text, name.end())
    return CpuModel(name=name[1], vendor=vendor[1] if vendor else "generic")


def _split_rows(text: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in text.splitlines()]


def _find_obstacle() -> tuple[str | None, str | None]:
    """What keeps us from KVM, and what to do about it; ``(None, None)`` when nothing does."""
    if not _KVM.exists():
        return f"{_KVM} does not exist", "load the module kvm_intel or kvm_amd"
    if platform.machine() in _X86 and not find_cpu_facts().flags & {"vmx", "svm"}:
        hint = "enable virtualization in the firmware, or nesting in the machine's own hypervisor"
        return "the processor has neither vmx nor svm", hint
    try:
        os.close(os.open(_KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_KVM} cannot be opened: {error.strerror}", "join the group kvm and log in again"
    return None, None
