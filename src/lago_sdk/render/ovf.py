"""OVF descriptors: what an appliance is, for whoever imports it.

The Open Virtualization Format is DMTF's DSP0243; its version 1.1 is written, which all products
read. Values of ``rasd`` are those of CIM_ResourceAllocationSettingData.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.render.elements import add, write
from lago_sdk.spec.nic import NicModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import VMPlan

_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
_RASD = f"{_CIM}/CIM_ResourceAllocationSettingData"
_VSSD = f"{_CIM}/CIM_VirtualSystemSettingData"
_VMDK = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_CPU, _MEMORY, _SCSI, _ETHERNET, _DISK = "3", "4", "6", "10", "17"
_LINUX_64 = "101"
"""CIM_OperatingSystem.OSType of a 64-bit Linux."""
_SYSTEM = "vmx-10"
"""The family of virtual hardware; VirtualBox, oVirt and virt-v2v take it as VMware does."""
_CARDS = {NicModel.E1000: "E1000", NicModel.E1000E: "E1000E", NicModel.RTL8139: "PCNet32"}
_VIRTIO = "VmxNet3"
"""There is no word for virtio's card in VMware's products: theirs for guests with drivers."""


@attrs.frozen(kw_only=True)
class ApplianceDisk:
    """A disk of an appliance."""

    file: str
    """Name of its stream-optimized VMDK in the archive."""
    file_size: int
    """Bytes of that file."""
    capacity: int
    """Bytes that a guest sees."""


def render_ovf(vm: VMPlan, disks: Sequence[ApplianceDisk]) -> str:
    """Return the OVF descriptor of *vm*, with *disks*."""
    for prefix, namespace in (("ovf", _OVF), ("rasd", _RASD), ("vssd", _VSSD)):
        ET.register_namespace(prefix, namespace)
    envelope = ET.Element(_ovf("Envelope"))
    references = add(envelope, _ovf("References"))
    for index, disk in enumerate(disks):
        file = {"id": f"file{index}", "href": disk.file, "size": str(disk.file_size)}
        add(references, _ovf("File"), _keys(file))
    section = _section(envelope, "DiskSection", "Disks of the appliance")
    for index, disk in enumerate(disks):
        described = {
            "diskId": f"disk{index}",
            "fileRef": f"file{index}",
            "capacity": str(disk.capacity),
            "capacityAllocationUnits": "byte",
            "format": _VMDK,
        }
        add(section, _ovf("Disk"), _keys(described))
    _add_networks(envelope, vm)
    _add_system(envelope, vm, len(disks))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + write(envelope)


def render_manifest(digests: Mapping[str, str]) -> str:
    """Return the manifest of an appliance (DSP0243, 5.1): digests of its files, by their names.

    Args:
        digests: Hex digits of the SHA-256 of each file.
    """
    return "".join(f"SHA256({name})= {digest}\n" for name, digest in digests.items())


def _ovf(name: str) -> str:
    return f"{{{_OVF}}}{name}"


def _keys(values: Mapping[str, str]) -> dict[str, str]:
    return {_ovf(name): value for name, value in values.items()}


def _section(parent: ET.Element, name: str, info: str) -> ET.Element:
    section = add(parent, _ovf(name))
    add(section, _ovf("Info"), text=info)
    return section


def _add_networks(envelope: ET.Element, vm: VMPlan) -> None:
    section = _section(envelope, "NetworkSection", "Networks that the appliance is plugged into")
    for net in dict.fromkeys(nic.net for nic in vm.nics):
        network = add(section, _ovf("Network"), _keys({"name": net}))
        add(network, _ovf("Description"), text=f"The net {net} of the lab")


def _add_system(envelope: ET.Element, vm: VMPlan, disks: int) -> None:
    system = add(envelope, _ovf("VirtualSystem"), _keys({"id": vm.name}))
    add(system, _ovf("Info"), text="A virtual machine")
    add(system, _ovf("Name"), text=vm.name)
    guest = add(system, _ovf("OperatingSystemSection"), _keys({"id": _LINUX_64}))
    add(guest, _ovf("Info"), text="The operating system in it")
    hardware = _section(system, "VirtualHardwareSection", "Virtual hardware")
    settings = add(hardware, _ovf("System"))
    for name, text in (
        ("ElementName", "Virtual Hardware Family"),
        ("InstanceID", "0"),
        ("VirtualSystemIdentifier", vm.name),
        ("VirtualSystemType", _SYSTEM),
    ):
        add(settings, f"{{{_VSSD}}}{name}", text=text)
    items = _Items(hardware)
    items.add(_CPU, f"{vm.spec.vcpu} virtual CPUs", VirtualQuantity=str(vm.spec.vcpu))
    items.add(
        _MEMORY,
        f"{vm.spec.memory} MiB of memory",
        AllocationUnits="byte * 2^20",
        VirtualQuantity=str(vm.spec.memory),
    )
    controller = items.add(_SCSI, "SCSI controller", Address="0", ResourceSubType="lsilogic")
    for index in range(disks):
        items.add(
            _DISK,
            f"Disk {index}",
            AddressOnParent=str(index),
            HostResource=f"ovf:/disk/disk{index}",
            Parent=controller,
        )
    for index, nic in enumerate(vm.nics):
        items.add(
            _ETHERNET,
            f"Ethernet adapter {index}",
            AutomaticAllocation="true",
            Connection=nic.net,
            ResourceSubType=_CARDS.get(nic.spec.model, _VIRTIO),
        )


class _Items:
    """Writes the items of a hardware section, each with a number of its own."""

    def __init__(self, hardware: ET.Element) -> None:
        self._hardware = hardware
        self._count = 0

    def add(self, kind: str, name: str, **values: str) -> str:
        """Write an item, its elements in the order of the alphabet as the schema wants them."""
        self._count += 1
        number = str(self._count)
        given = {**values, "ElementName": name, "InstanceID": number, "ResourceType": kind}
        item = add(self._hardware, _ovf("Item"))
        for key in sorted(given):
            add(item, f"{{{_RASD}}}{key}", text=given[key])
        return number
