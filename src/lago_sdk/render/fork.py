"""The machine of a VM in a fork: the same devices and addresses, at another prefix's paths."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.render.tags import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PATHS = ("file", "dir")
_QCOW2 = "qcow2"


def fork_machine(xml: str, *, prefix_uuid: str, root: str, disks: Mapping[str, str]) -> str:
    """Return the machine *xml* as a VM of another prefix.

    Name, UUID, MACs and devices stay: libvirt begins a memory with the machine only that it was
    saved with, and the guest must not see a difference.

    Args:
        xml: The machine, without the chains of its disks.
        prefix_uuid: UUID of the other prefix.
        root: Its directory.
        disks: Absolute paths of qcow2 images by those that are in *xml*; what is not named is
            taken from the same place in *root* where it lies in the first prefix.
    """
    tree = ET.fromstring(xml)  # noqa: S314 - libvirt's
    tag = tree.find(f"metadata/{{{NAMESPACE}}}prefix")
    before = None
    if tag is not None:
        before = tag.get("path")
        tag.set("uuid", prefix_uuid)
        tag.set("path", root)
    for disk in tree.iterfind("devices/disk"):
        _fork_disk(disk, disks)
    for element in tree.iter():
        for key in _PATHS:
            value = element.get(key)
            if before and value is not None and value not in disks.values():
                element.set(key, _move(value, before, root))
    return ET.tostring(tree, encoding="unicode")


def render_memory_snapshot(path: str, targets: Iterable[str]) -> str:
    """Return the XML of a snapshot of a memory, to *path*, and of none of the disks *targets*."""
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "memory", snapshot="external", file=path)
    disks = ET.SubElement(root, "disks")
    for target in targets:
        ET.SubElement(disks, "disk", name=target, snapshot="no")
    return ET.tostring(root, encoding="unicode")


def parse_targets(xml: str) -> tuple[str, ...]:
    """Return the names of the disks of a domain, such as ``vda``."""
    found = ET.fromstring(xml).iterfind("devices/disk/target")  # noqa: S314 - libvirt's
    return tuple(target.get("dev", "") for target in found)


def _fork_disk(disk: ET.Element, disks: Mapping[str, str]) -> None:
    source, driver = disk.find("source"), disk.find("driver")
    path = source.get("file") if source is not None else None
    if source is None or path is None or path not in disks:
        return
    source.set("file", disks[path])
    if driver is not None:
        driver.set("type", _QCOW2)


def _move(path: str, before: str, root: str) -> str:
    place = PurePosixPath(path)
    if not place.is_relative_to(before):
        return path
    return str(PurePosixPath(root) / place.relative_to(before))
