"""OVF descriptors: what machine an appliance wants to be.

Reads the Open Virtualization Format (DMTF DSP0243) as virtualization products write it, and the
dialect of oVirt, which names image files straight in the hardware section. Units are DMTF's
programmatic units (DSP0004, annex C) and the words that came before them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs

from lago_sdk.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CPU, _MEMORY, _DISK = "3", "4", "17"
"""``ResourceType`` of the items that matter (CIM_ResourceAllocationSettingData)."""

_MEBIBYTE = 1024**2
_WORDS = {
    "": _MEBIBYTE,  # oVirt and early products leave the unit out and mean this
    "byte": 1,
    "bytes": 1,
    **dict.fromkeys(("kilobytes", "kilobyte", "kb", "kib"), 1024),
    **dict.fromkeys(("megabytes", "megabyte", "mb", "mib"), 1024**2),
    **dict.fromkeys(("gigabytes", "gigabyte", "gb", "gib"), 1024**3),
    **dict.fromkeys(("terabytes", "terabyte", "tb", "tib"), 1024**4),
}
_PROGRAMMATIC = re.compile(r"bytes?((?:\s*\*\s*\d+(?:\s*\^\s*\d+)?)+)", re.IGNORECASE)
_FACTOR = re.compile(r"\*\s*(\d+)(?:\s*\^\s*(\d+))?")
_LARGEST = 2**63
_DIGEST = re.compile(r"(SHA-?(?:1|256|384|512))\s*\((.+)\)\s*=\s*([0-9a-f]+)", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class OvfDisk:
    """One disk of an appliance."""

    file: str | None
    """Name of its image in the archive, as written; ``None`` for a disk without content."""
    size: int | None = None
    """Bytes that the guest sees, where the descriptor says it."""


@attrs.frozen(kw_only=True)
class OvfMachine:
    """The machine that an OVF descriptor asks for."""

    memory: int | None
    """MiB; ``None`` where the descriptor does not say."""
    vcpu: int | None
    disks: tuple[OvfDisk, ...]


def parse_ovf(text: bytes, *, source: str) -> OvfMachine:
    """Read an OVF descriptor.

    Args:
        text: The XML.
        source: Where it is from, for errors.

    Raises:
        ImageError: It is damaged, describes no machine or several, or has units, sizes or
            references that make no sense.
    """
    root = _parse_xml(text, source)
    sections = [x for x in root.iter() if _name(x) in {"VirtualHardwareSection", "Section"}]
    hardware = [x for x in sections if any(_name(child) == "Item" for child in x)]
    if len(hardware) != 1:
        raise ImageError(
            f"{source} describes {len(hardware)} machines, and one can be imported",
            hint="export the machines one by one" if hardware else "it may not be an appliance",
        )
    items = [item for item in hardware[0] if _name(item) == "Item"]
    return OvfMachine(
        memory=_find_memory(items, source),
        vcpu=_find_vcpu(items, source),
        disks=tuple(_list_disks(items, root, source)),
    )


def parse_manifest(text: bytes, *, source: str) -> dict[str, tuple[str, str]]:
    """Read the manifest of an appliance (DSP0243, 5.1): algorithm and hex digits by file name.

    Args:
        text: The manifest.
        source: Where it is from, for errors.

    Raises:
        ImageError: It is damaged, or has digests of an unknown kind.
    """
    found = {}
    for line in text.decode(errors="replace").splitlines():
        match = _DIGEST.fullmatch(line.strip())
        if match is not None:
            found[match[2]] = (match[1].lower().replace("-", ""), match[3].lower())
        elif line.strip():
            raise ImageError(f"{source} is damaged: {line.strip()[:80]!r} is no digest")
    return found


def parse_unit(text: str, *, source: str) -> int:
    """Return how many bytes a unit such as ``byte * 2^20`` or ``MegaBytes`` is.

    Raises:
        ImageError: It is none that is known.
    """
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    match = _PROGRAMMATIC.fullmatch(word)
    factor = 1
    for base, power in _FACTOR.findall(match[1]) if match else ():
        exponent = int(power or 1)
        factor *= int(base) ** exponent if exponent < 64 else _LARGEST
    if match is None or not 0 < factor < _LARGEST:
        raise ImageError(f"{source} counts in {text.strip()!r}, which is no unit of sizes")
    return factor


def _parse_xml(text: bytes, source: str) -> ET.Element:
    if b"<!DOCTYPE" in text or text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ImageError(f"{source} has a document type or is UTF-16, which no OVF descriptor is")
    try:
        return ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError as error:
        raise ImageError(f"{source} is damaged: {error}") from error


def _name(element: ET.Element) -> str:
    """Return a tag without its namespace, of which OVF has one for each version."""
    return element.tag.rpartition("}")[2]


def _get(element: ET.Element, name: str) -> str | None:
    """Return an attribute whatever its namespace."""
    return next((v for k, v in element.attrib.items() if k.rpartition("}")[2] == name), None)


def _child(item: ET.Element, name: str) -> str | None:
    found = next((child.text for child in item if _name(child) == name), None)
    return found.strip() if found and found.strip() else None


def _of_kind(items: list[ET.Element], kind: str) -> Iterator[ET.Element]:
    return (item for item in items if _child(item, "ResourceType") == kind)


def _to_int(text: str, what: str, source: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
        raise ImageError(f"{source} says {text!r} for {what}, which is no number")
    return int(text)


def _find_memory(items: list[ET.Element], source: str) -> int | None:
    total = 0
    for item in _of_kind(items, _MEMORY):
        quantity = _child(item, "VirtualQuantity")
        if quantity is not None:
            unit = parse_unit(_child(item, "AllocationUnits") or "", source=source)
            total += _to_int(quantity, "its memory", source) * unit
    return -(-total // _MEBIBYTE) or None


def _find_vcpu(items: list[ET.Element], source: str) -> int | None:
    total = 0
    for item in _of_kind(items, _CPU):
        sockets, cores = _child(item, "num_of_sockets"), _child(item, "cpu_per_socket")
        if sockets is not None and cores is not None:
            threads = _child(item, "threads_per_cpu") or "1"
            counts = [_to_int(x, "its processors", source) for x in (sockets, cores, threads)]
            total += counts[0] * counts[1] * counts[2]
        elif (quantity := _child(item, "VirtualQuantity")) is not None:
            total += _to_int(quantity, "its processors", source)
    return total or None


def _list_disks(items: list[ET.Element], root: ET.Element, source: str) -> Iterator[OvfDisk]:
    files = {_get(x, "id"): x for x in root.iter() if _name(x) == "File"}
    disks = {_get(x, "diskId"): x for x in root.iter() if _name(x) == "Disk"}
    for item in _of_kind(items, _DISK):
        resource = _child(item, "HostResource")
        if resource is None:
            raise ImageError(f"{source} has a disk without an image")
        kind, _, identity = resource.removeprefix("ovf:").strip("/").partition("/")
        if kind == "disk" and identity in disks:
            yield _describe_disk(disks[identity], files, source)
        elif kind == "file" and identity in files:
            yield OvfDisk(file=_get_href(files[identity], source))
        elif resource.startswith(("ovf:", "/")):
            raise ImageError(f"{source} has a disk {resource!r}, which it does not describe")
        else:  # oVirt: the path below the archive's images
            yield OvfDisk(file=resource)


def _describe_disk(disk: ET.Element, files: dict[str | None, ET.Element], source: str) -> OvfDisk:
    capacity = _get(disk, "capacity")
    size = None
    if capacity is not None:
        unit = parse_unit(_get(disk, "capacityAllocationUnits") or "byte", source=source)
        size = _to_int(capacity, "a disk's size", source) * unit
    reference = _get(disk, "fileRef")
    if not reference:
        if not size:
            raise ImageError(f"{source} has a disk with neither image nor size")
        return OvfDisk(file=None, size=size)
    if reference not in files:
        raise ImageError(f"{source} has a disk with the image {reference!r}, which it lacks")
    return OvfDisk(file=_get_href(files[reference], source), size=size)


def _get_href(file: ET.Element, source: str) -> str:
    href = _get(file, "href")
    if not href or "://" in href:
        raise ImageError(f"{source} has an image at {href!r}, which is not in the archive")
    if _get(file, "compression") not in {None, "", "identity"} or _get(file, "chunkSize"):
        raise ImageError(f"{source} has the image {href!r} in compressed pieces")
    return href
