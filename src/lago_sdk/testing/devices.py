"""Devices of fake domains: elements of the XML that they were defined with."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lago_sdk.errors import HypervisorError
from lago_sdk.testing.hypervisor_part import DomainRecord, FakePart


class FakeDevices(FakePart):
    """Devices that guests let go of at once, unless they were told to hold on to them."""

    def hold_devices(self, name: str) -> None:
        """Let the guest of the domain *name* not let go of any device, nor of memory."""
        with self._lock:
            self._get(name).holds_devices = True

    def attach_device(self, domain: str, xml: str) -> None:
        """See `Devices.attach_device`."""
        with self._lock:
            self._begin("attach_device", domain)
            self._fail(domain, "attach")
            record = self._get(domain)
            root = ET.fromstring(record.xml)  # noqa: S314 - a test's own
            _get_devices(root).append(ET.fromstring(xml))  # noqa: S314 - rendered by us
            record.xml = ET.tostring(root, encoding="unicode")

    def list_disk_devs(self, domain: str) -> tuple[str, ...]:
        """See `Devices.list_disk_devs`."""
        with self._lock:
            self._begin("list_disk_devs", domain)
            root = ET.fromstring(self._get(domain).xml)  # noqa: S314 - a test's own
            return tuple(disk.get("dev", "") for disk in root.iterfind("devices/disk/target"))

    def detach_disk(self, domain: str, dev: str, *, timeout: float) -> bool:
        """See `Devices.detach_disk`."""
        del timeout  # nobody waits for a fake
        return self._detach("detach_disk", domain, "disk", "target", "dev", dev)

    def detach_nic(self, domain: str, mac: str, *, timeout: float) -> bool:
        """See `Devices.detach_nic`."""
        del timeout
        return self._detach("detach_nic", domain, "interface", "mac", "address", mac)

    def set_link(self, domain: str, mac: str, *, is_up: bool) -> None:
        """See `Devices.set_link`."""
        with self._lock:
            self._begin("set_link", domain)
            record = self._get(domain)
            if self._find_nic(record, mac) is None:
                raise HypervisorError(f"domain {domain!r} has no network card with the MAC {mac}")
            (record.pulled.discard if is_up else record.pulled.add)(mac.lower())

    def find_link(self, domain: str, mac: str) -> bool | None:
        """See `Devices.find_link`."""
        with self._lock:
            self._begin("find_link", domain)
            record = self._get(domain)
            if self._find_nic(record, mac) is None:
                return None
            return mac.lower() not in record.pulled

    def set_vcpus(self, domain: str, count: int) -> None:
        """See `Devices.set_vcpus`."""
        with self._lock:
            self._begin("set_vcpus", domain)
            root = ET.fromstring(self._get(domain).xml)  # noqa: S314 - a test's own
            places = int(root.findtext("vcpu", "1"))
            if count > places:
                raise HypervisorError(f"domain {domain!r} has places for {places} processors")

    def set_memory(self, domain: str, size: int) -> None:
        """See `Devices.set_memory`; a guest that holds its devices holds its memory as well."""
        with self._lock:
            self._begin("set_memory", domain)
            record = self._get(domain)
            root = ET.fromstring(record.xml)  # noqa: S314 - a test's own
            most = int(root.findtext("memory", "0"))
            if size > most:
                raise HypervisorError(f"domain {domain!r} has {most} MiB of memory")
            if not record.holds_devices:
                record.memory = size

    def get_memory(self, domain: str) -> int:
        """See `Devices.get_memory`."""
        with self._lock:
            self._begin("get_memory", domain)
            record = self._get(domain)
            root = ET.fromstring(record.xml)  # noqa: S314 - a test's own
            current = root.findtext("currentMemory", root.findtext("memory", "0"))
            return record.memory or int(current)

    def _get(self, name: str) -> DomainRecord:
        record = self._domains.get(name)
        if record is None or not record.state.is_active:
            raise HypervisorError(f"domain {name!r} is not running")
        return record

    def _find_nic(self, record: DomainRecord, mac: str) -> ET.Element | None:
        root = ET.fromstring(record.xml)  # noqa: S314 - a test's own
        return _find(root, "interface", "mac", "address", mac)

    def _detach(
        self, method: str, name: str, tag: str, child: str, attribute: str, value: str
    ) -> bool:
        with self._lock:
            self._begin(method, name)
            record = self._get(name)
            root = ET.fromstring(record.xml)  # noqa: S314 - a test's own
            found = _find(root, tag, child, attribute, value)
            if found is not None and record.holds_devices:
                return False
            if found is not None:
                _get_devices(root).remove(found)
                record.xml = ET.tostring(root, encoding="unicode")
            return True


def _get_devices(root: ET.Element) -> ET.Element:
    devices = root.find("devices")
    return ET.SubElement(root, "devices") if devices is None else devices


def _find(root: ET.Element, tag: str, child: str, attribute: str, value: str) -> ET.Element | None:
    for device in root.iterfind(f"devices/{tag}"):
        found = device.find(child)
        if found is not None and found.get(attribute, "").lower() == value.lower():
            return device
    return None
