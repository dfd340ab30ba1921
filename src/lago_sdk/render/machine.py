"""What a running domain is made of, read from its XML, and that XML made fit to begin another.

(https://libvirt.org/formatdomain.html)
"""

from __future__ import annotations

from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.render.tags import NAMESPACE

_CHAIN = "backingStore"
"""The chain as libvirt knows it. What it says wins over what the image says: an empty element
makes QEMU leave out the backing file, and the guest reads zeros."""


@attrs.frozen(kw_only=True)
class MachineDisk:
    """A disk that the guest can write to."""

    path: str | None
    """Absolute path of the image; ``None`` for one that is not a file."""
    format: str
    """As libvirt calls it: ``qcow2``, ``raw``, …"""


@attrs.frozen(kw_only=True)
class Machine:
    """What of a domain decides how its state can be kept."""

    disks: tuple[MachineDisk, ...]
    has_firmware_store: bool
    """Whether it has UEFI variables in a flash of their own."""
    shares: tuple[str, ...] = ()
    """Tags of directories that it shares with the host."""
    host_devices: int = 0
    """How many devices of the host it was given."""


def clean_machine(xml: str) -> str:
    """Return the XML of a running domain without what another process must find out anew.

    The result tells machines apart: two texts are equal where the devices are.
    """
    root = ET.fromstring(xml)  # noqa: S314 - libvirt's
    root.attrib.pop("id", None)
    for name in ("resource", "seclabel"):
        for element in root.findall(name):
            root.remove(element)
    for graphics in root.iterfind("devices/graphics[@autoport='yes']"):
        graphics.attrib.pop("port", None)  # chosen anew at each start
    for parent in root.iter():
        for element in parent.findall(_CHAIN):
            parent.remove(element)
    ET.indent(root)
    return ET.canonicalize(ET.tostring(root, encoding="unicode"))


def move_machine(xml: str, root_path: str) -> str:
    """Return *xml* for a prefix that lies at *root_path* by now.

    Where it was is told by the domain's tag; paths below are those of the new place.
    """
    root = ET.fromstring(xml)  # noqa: S314 - our own copy of libvirt's
    tag = root.find(f"metadata/{{{NAMESPACE}}}prefix")
    before = tag.get("path") if tag is not None else None
    if tag is None or before is None or before == root_path:
        return xml
    tag.set("path", root_path)
    for element in root.iter():
        for key in ("file", "dir"):
            value = element.get(key)
            if value is not None and PurePosixPath(value).is_relative_to(before):
                moved = PurePosixPath(root_path) / PurePosixPath(value).relative_to(before)
                element.set(key, str(moved))
    return ET.tostring(root, encoding="unicode")


def parse_machine(xml: str) -> Machine:
    """Read what of a domain decides how its state can be kept."""
    root = ET.fromstring(xml)  # noqa: S314 - libvirt's
    loader = root.find("os/loader")
    has_flash = loader is not None and loader.get("type") == "pflash"
    return Machine(
        disks=tuple(_list_disks(root)),
        has_firmware_store=has_flash or root.find("os/nvram") is not None,
        shares=tuple(
            target.get("dir", "") for target in root.iterfind("devices/filesystem/target")
        ),
        host_devices=len(root.findall("devices/hostdev")),
    )


def parse_macs(xml: str) -> tuple[str, ...]:
    """Read the addresses of a domain's network cards, in small letters."""
    found = ET.fromstring(xml).iterfind("devices/interface/mac")  # noqa: S314 - libvirt's
    return tuple(address for mac in found if (address := mac.get("address", "").lower()))


def _list_disks(root: ET.Element) -> list[MachineDisk]:
    found = []
    for disk in root.iterfind("devices/disk"):
        if disk.get("device", "disk") != "disk" or disk.find("readonly") is not None:
            continue
        source, driver = disk.find("source"), disk.find("driver")
        path = source.get("file") if source is not None else None
        kind = driver.get("type", "raw") if driver is not None else "raw"
        found.append(MachineDisk(path=path, format=kind))
    return found
