"""Domain XML for libvirt (https://libvirt.org/formatdomain.html)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.plan.facts import Accel
from lago_sdk.render import devices as dev
from lago_sdk.render.cpu import count_vcpu_places, get_most_memory, render_cpu
from lago_sdk.render.credentials import render_credentials
from lago_sdk.render.disks import Drive, add_drive, add_scsi_controllers, list_drives
from lago_sdk.render.elements import add, write
from lago_sdk.render.extra import merge_extra
from lago_sdk.render.tags import Tag, add_tag
from lago_sdk.spec.disk import DiskBus
from lago_sdk.spec.vm import BootDevice, Bootstrap, Firmware, GraphicsType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import NetPlan, VMPlan

_MACHINE = "q35"
SPARE_SLOTS = 4
"""Disks and nics that a VM with PCI Express takes while it runs."""
_SMALL_DEVICES = 3
"""The channels to agent and console, the source of entropy, and the balloon."""
_BOOT = (BootDevice.DISK, BootDevice.CDROM)
"""Without a wish: an empty disk lets an installer's medium boot."""


def render_domain(
    vm: VMPlan,
    *,
    nets: Mapping[str, NetPlan],
    facts: HostFacts,
    root: str,
    prefix_uuid: str,
    display_password: str | None = None,
    public_keys: Sequence[str] = (),
) -> str:
    """Return the XML of the libvirt domain of *vm*.

    Args:
        vm: The VM, decided.
        nets: The nets of the plan by name; all that *vm* has nics on.
        facts: The host it shall run on.
        root: The prefix directory, absolute; relative paths of the plan start there.
        prefix_uuid: The prefix's uuid, 32 hex digits.
        display_password: What guards the display of a VM that has it served.
        public_keys: Keys that a guest with ``bootstrap: credentials`` lets in.

    Raises:
        VMError: The VM asks for something that this host cannot do or XML cannot say.
    """
    base = PurePosixPath(root)
    machine = vm.spec.machine or _MACHINE
    domain = ET.Element("domain", {"type": "kvm" if facts.accel is Accel.KVM else "qemu"})
    add(domain, "name", text=vm.domain)
    add(domain, "uuid", text=vm.uuid)
    add_tag(domain, Tag(prefix_uuid=prefix_uuid, name=vm.name, path=root))
    _add_memory(domain, vm)
    if vm.spec.shares:
        _add_shared_memory(domain)
    _add_vcpu(domain, vm)
    os = _add_os(domain, vm, facts, machine, base)
    if vm.bootstrap is Bootstrap.CREDENTIALS:
        _add_oem_strings(domain, os, render_credentials(vm, nets=nets, public_keys=public_keys))
    _add_behaviour(domain, vm, facts)
    devices = _add_devices(domain, vm, nets=nets, facts=facts, machine=machine, root=base)
    dev.add_graphics(devices, vm, display_password)
    if vm.spec.xml is not None:
        merge_extra(domain, vm.spec.xml, vm=vm.name)
    return write(domain)


def _add_memory(domain: ET.Element, vm: VMPlan) -> None:
    most = get_most_memory(vm)
    add(domain, "memory", {"unit": "MiB"}, text=str(most))
    if most > vm.spec.memory:
        add(domain, "currentMemory", {"unit": "MiB"}, text=str(vm.spec.memory))


def _add_vcpu(domain: ET.Element, vm: VMPlan) -> None:
    places = count_vcpu_places(vm)
    has_spare = places > vm.spec.vcpu
    add(domain, "vcpu", {"current": str(vm.spec.vcpu)} if has_spare else {}, text=str(places))


def _add_shared_memory(domain: ET.Element) -> None:
    """Let the process that serves a share see the guest's memory."""
    backing = add(domain, "memoryBacking")
    add(backing, "source", {"type": "memfd"})
    add(backing, "access", {"mode": "shared"})


def _add_os(
    domain: ET.Element, vm: VMPlan, facts: HostFacts, machine: str, root: PurePosixPath
) -> ET.Element:
    efi = vm.spec.firmware is Firmware.EFI
    element = add(domain, "os", {"firmware": "efi"} if efi else {})
    add(element, "type", {"arch": facts.arch, "machine": machine}, text="hvm")
    if efi:
        firmware = add(element, "firmware")
        enabled = "yes" if vm.spec.secure_boot else "no"
        for feature in ("enrolled-keys", "secure-boot"):
            add(firmware, "feature", {"enabled": enabled, "name": feature})
    if vm.spec.kernel is not None:
        add(element, "kernel", text=str(root / vm.spec.kernel))
        if vm.spec.initrd is not None:
            add(element, "initrd", text=str(root / vm.spec.initrd))
        if vm.spec.cmdline is not None:
            add(element, "cmdline", text=vm.spec.cmdline)
    return element


def _add_oem_strings(domain: ET.Element, os: ET.Element, strings: Sequence[str]) -> None:
    """Let the machine's SMBIOS tables tell *strings* besides what QEMU says there (type 11)."""
    add(os, "smbios", {"mode": "sysinfo"})
    entries = add(add(domain, "sysinfo", {"type": "smbios"}), "oemStrings")
    for text in strings:
        add(entries, "entry", text=text)


def _add_behaviour(domain: ET.Element, vm: VMPlan, facts: HostFacts) -> None:
    features = add(domain, "features")
    add(features, "acpi")
    add(features, "apic")
    if vm.spec.secure_boot:
        add(features, "smm", {"state": "on"})
    domain.append(render_cpu(vm, facts))
    clock = add(domain, "clock", {"offset": "utc"})
    if facts.accel is Accel.KVM:
        add(clock, "timer", {"name": "rtc", "tickpolicy": "catchup"})
        add(clock, "timer", {"name": "pit", "tickpolicy": "delay"})
        add(clock, "timer", {"name": "hpet", "present": "no"})
        add(clock, "timer", {"name": "kvmclock", "present": "yes"})
    add(domain, "on_poweroff", text="destroy")
    add(domain, "on_reboot", text="restart")
    add(domain, "on_crash", text="destroy")


def _add_devices(
    domain: ET.Element,
    vm: VMPlan,
    *,
    nets: Mapping[str, NetPlan],
    facts: HostFacts,
    machine: str,
    root: PurePosixPath,
) -> ET.Element:
    drives = list_drives(vm, root, machine)
    orders = _plan_boot(vm, drives)
    devices = add(domain, "devices")
    add(devices, "emulator", text=facts.emulator)
    for index, drive in enumerate(drives):
        kind = BootDevice.CDROM if drive.read_only else BootDevice.DISK
        add_drive(devices, drive, boot_order=orders.get((kind, index)))
    add(devices, "controller", {"type": "usb", "model": "none"})
    if "q35" in machine:
        _add_slots(devices, vm, drives)
    add_scsi_controllers(devices, drives)
    for share in vm.spec.shares:
        dev.add_share(devices, vm, share, facts, root)
    dev.add_nics(devices, vm, nets, orders)
    dev.add_consoles(devices, vm, root)
    dev.add_agent_channel(devices)
    if vm.spec.tpm:
        dev.add_tpm(devices)
    dev.add_video(devices, vm.spec.video)
    dev.add_small_devices(devices)
    return devices


def _add_slots(devices: ET.Element, vm: VMPlan, drives: Sequence[Drive]) -> None:
    """Add PCI Express ports: one for each device of the VM, and some for what comes later."""
    on_virtio = sum(drive.bus is DiskBus.VIRTIO for drive in drives)
    has_scsi = any(drive.bus is DiskBus.SCSI for drive in drives)
    count = on_virtio + has_scsi + len(vm.nics) + len(vm.spec.shares) + _SMALL_DEVICES
    count += vm.spec.graphics is not GraphicsType.NONE  # its pointer
    add(devices, "controller", {"type": "pci", "index": "0", "model": "pcie-root"})
    for index in range(1, count + SPARE_SLOTS + 1):
        port = {"type": "pci", "index": str(index), "model": "pcie-root-port"}
        add(devices, "controller", port)


def _plan_boot(vm: VMPlan, drives: Sequence[Drive]) -> dict[tuple[BootDevice, int], int]:
    """Return the place in the boot order, from 1, of each device the firmware shall try.

    Keys are the kind of device and its index among the drives or nics; a seed is never tried.
    """
    if vm.spec.kernel is not None:
        return {}
    media = [
        (BootDevice.CDROM if drive.read_only else BootDevice.DISK, index)
        for index, drive in enumerate(drives[: len(vm.disks)])
    ]
    cards = [(BootDevice.NETWORK, nic.index) for nic in vm.nics]
    wanted = vm.spec.boot or _BOOT
    order = [place for kind in wanted for place in (*media, *cards) if place[0] is kind]
    return {place: number for number, place in enumerate(order, start=1)}
