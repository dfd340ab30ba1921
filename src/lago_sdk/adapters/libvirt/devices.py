"""Devices of libvirt's domains that run, behind the `Devices` port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.part import Part
from lago_sdk.errors import HypervisorError

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL = 0.05
"""Seconds between looks at whether a guest has let go of a device."""
_ASKS_AGAIN = 5.0
"""Seconds after which the guest is asked once more; one that boots does not hear the first."""

_KIBIBYTES = 1024
"""In a MiB; libvirt counts memory in KiB."""


class LibvirtDevices(Part):
    """The devices of a libvirtd's domains, as a `lago_sdk.ports.Devices`."""

    def attach_device(self, domain: str, xml: str) -> None:
        """See `Devices.attach_device`."""
        import libvirt

        with self._with_domain(domain, f"plug a device into domain {domain!r}") as found:
            found.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def list_disk_devs(self, domain: str) -> tuple[str, ...]:
        """See `Devices.list_disk_devs`."""
        with self._with_domain(domain, f"look at the disks of domain {domain!r}") as found:
            targets = _describe(found).iterfind("devices/disk/target")
            return tuple(target.get("dev", "") for target in targets)

    def detach_disk(self, domain: str, dev: str, *, timeout: float) -> bool:
        """See `Devices.detach_disk`."""
        return self._detach(domain, lambda root: _find_disk(root, dev), timeout)

    def detach_nic(self, domain: str, mac: str, *, timeout: float) -> bool:
        """See `Devices.detach_nic`."""
        return self._detach(domain, lambda root: _find_nic(root, mac), timeout)

    def set_link(self, domain: str, mac: str, *, is_up: bool) -> None:
        """See `Devices.set_link`."""
        import libvirt

        with self._with_domain(domain, f"switch a link of domain {domain!r}") as found:
            nic = _find_nic(_describe(found), mac)
            if nic is None:
                message = f"domain {domain!r} has no network card with the MAC {mac}"
                raise HypervisorError(message, hint="was it taken out by somebody else?")
            for link in nic.findall("link"):
                nic.remove(link)
            ET.SubElement(nic, "link", {"state": "up" if is_up else "down"})
            text = ET.tostring(nic, encoding="unicode")
            found.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def find_link(self, domain: str, mac: str) -> bool | None:
        """See `Devices.find_link`."""
        with self._with_domain(domain, f"look at a link of domain {domain!r}") as found:
            nic = _find_nic(_describe(found), mac)
        if nic is None:
            return None
        link = nic.find("link")
        return link is None or link.get("state") != "down"

    def set_vcpus(self, domain: str, count: int) -> None:
        """See `Devices.set_vcpus`."""
        import libvirt

        with self._with_domain(domain, f"change the processors of domain {domain!r}") as found:
            found.setVcpusFlags(count, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def set_memory(self, domain: str, size: int) -> None:
        """See `Devices.set_memory`."""
        import libvirt

        with self._with_domain(domain, f"change the memory of domain {domain!r}") as found:
            found.setMemoryFlags(size * _KIBIBYTES, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def get_memory(self, domain: str) -> int:
        """See `Devices.get_memory`; QEMU tells libvirt of each change."""
        with self._with_domain(domain, f"look at the memory of domain {domain!r}") as found:
            return int(found.info()[2]) // _KIBIBYTES

    def _detach(
        self, domain: str, find: Callable[[ET.Element], ET.Element | None], timeout: float
    ) -> bool:
        """Ask the guest to let go of a device until it has, or *timeout* seconds have passed."""
        end = time.monotonic() + timeout
        asked_at = float("-inf")
        with self._with_domain(domain, f"take a device out of domain {domain!r}") as found:
            while (device := find(_describe(found))) is not None:
                now = time.monotonic()
                if now >= end:
                    return False
                if now - asked_at >= _ASKS_AGAIN:
                    _ask_to_let_go(found, device)
                    asked_at = now
                time.sleep(_POLL)
        return True


def _ask_to_let_go(domain: Any, device: ET.Element) -> None:
    """Ask the guest to let go of a device; it may be at it already, or done."""
    import libvirt

    try:
        text = ET.tostring(device, encoding="unicode")
        domain.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        harmless = {libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_FAILED}
        if error.get_error_code() not in harmless:
            raise


def _describe(domain: Any) -> ET.Element:
    return ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt wrote it


def _find_disk(root: ET.Element, dev: str) -> ET.Element | None:
    for disk in root.iterfind("devices/disk"):
        target = disk.find("target")
        if target is not None and target.get("dev") == dev:
            return disk
    return None


def _find_nic(root: ET.Element, mac: str) -> ET.Element | None:
    for nic in root.iterfind("devices/interface"):
        address = nic.find("mac")
        if address is not None and address.get("address", "").lower() == mac.lower():
            return nic
    return None
