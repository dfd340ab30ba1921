"""What keeps a lab out of the cache: what it is made of that nobody can know.

Where there is doubt there is an obstacle: a lab that boots is slow, one that is wrong is worse.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.ports import HostKind
from lago_sdk.service.checkpoints.builds import find_unknown_option
from lago_sdk.service.making.paths import is_url
from lago_sdk.spec.disk import DiskFormat, DiskSpec, FileDisk
from lago_sdk.spec.vm import Firmware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.plan.models import DiskPlan, Plan, VMPlan
    from lago_sdk.ports import Host

_HARMLESS = frozenset(
    {
        "any", "domain", "devices", "acpi", "address", "apic", "clock", "features", "input",
        "memballoon", "model", "panic", "pm", "rng", "sound", "suspend-to-disk", "suspend-to-mem",
        "timer", "video", "watchdog",
    }
)  # fmt: skip
"""Elements of a user's own XML that bring in nothing of the host."""


def find_obstacle(plan: Plan, host: Host) -> str | None:
    """Return why a lab cannot have a checkpoint, as the end of a sentence; ``None``: it can."""
    return next(_list_obstacles(plan, host), None)


def _list_obstacles(plan: Plan, host: Host) -> Iterator[str]:
    if host.kind is not HostKind.PRIVATE:
        yield "it is not on a private host, and others would see its addresses and names twice"
    if not plan.vms:
        yield "it has no VMs"
    for net in plan.nets:
        if net.spec.bridge is not None:
            yield f"the net {net.name!r} is plugged into a bridge of the host"
    for vm in plan.vms:
        yield from (f"{vm.name!r} {reason}" for reason in _list_of_vm(vm))


def _list_of_vm(vm: VMPlan) -> Iterator[str]:
    spec = vm.spec
    if vm.is_remote:
        yield "is a machine that runs elsewhere"
    if spec.shares:
        yield f"shares the directory {spec.shares[0].source!r} with the host"
    if spec.firmware is Firmware.EFI:
        yield "has UEFI variables, which are kept outside of its disks"
    if spec.tpm:
        yield "has a TPM, whose state is kept outside of its disks"
    if spec.ova is not None and is_url(spec.ova):
        yield f"is made of {spec.ova}, whose content nobody knows beforehand"
    if spec.xml is not None:
        yield from _list_of_xml(spec.xml)
    for disk in vm.disks:
        yield from (f"has the disk {disk.name!r}, which {reason}" for reason in _list_of_disk(disk))


def _list_of_disk(disk: DiskPlan) -> Iterator[str]:
    asked = disk.spec
    if _is_downloaded(asked):
        yield "is downloaded: nobody knows its content beforehand"
    if not disk.owned and disk.format is not DiskFormat.ISO:
        yield "is used in place, where each lab sees what the last one wrote; see make_a_copy"
    for step in asked.build:
        option = find_unknown_option(step)
        if option is not None:
            yield f"is built by {step.builder}'s option {option!r}, whose effect may differ"


def _is_downloaded(asked: DiskSpec) -> bool:
    """Whether a disk comes from a server: what lies at its path already does not."""
    if not isinstance(asked, FileDisk) or asked.url is None or not is_url(asked.url):
        return False
    return asked.path is None or not Path(asked.path).is_file()


def _list_of_xml(text: str) -> Iterator[str]:
    try:
        root = ET.fromstring(f"<any>{text}</any>")  # noqa: S314 - the user's own
    except ET.ParseError:
        yield "has XML of its own that is a whole document"
        return
    for element in root.iter():
        if element.tag not in _HARMLESS:
            yield f"has XML of its own with <{element.tag}>, which may bring in the host"
