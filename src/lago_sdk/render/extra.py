"""Merging a user's own libvirt XML into a domain."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lago_sdk.errors import VMError
from lago_sdk.render.tags import NAMESPACE

_OURS = frozenset({"name", "uuid"})
"""Elements by which the library finds its domains again."""


def merge_extra(domain: ET.Element, text: str, *, vm: str) -> None:
    """Merge *text* into *domain*.

    Elements without a ``<domain>`` around them are devices. Of a ``<domain>`` each child is
    merged into ours of that name: its attributes win, and so do children of which we have
    exactly one; others are added. The type of the domain stays ours.

    Args:
        domain: The domain; changed in place.
        text: Elements, or one ``<domain>`` element.
        vm: Name of the VM, for errors.

    Raises:
        VMError: It is not well-formed, has a document type, or names what is ours to name.
    """
    extra = _parse(text, vm)
    if extra.tag != "domain":
        _get_child(domain, "devices").extend(extra)
        return
    for element in extra:
        _merge_section(domain, element, vm)


def _parse(text: str, vm: str) -> ET.Element:
    if "<!DOCTYPE" in text:
        raise VMError(vm, f"xml of {vm!r} must not have a document type")
    parser = ET.XMLParser()  # noqa: S314 - without a document type there are no entities
    whole = text.lstrip().startswith(("<?xml", "<domain"))
    try:
        for part in (text.strip(),) if whole else ("<devices>", text, "</devices>"):
            parser.feed(part)
        root = parser.close()
    except ET.ParseError as error:
        raise VMError(vm, f"xml of {vm!r} is not well-formed: {error}") from error
    if whole and root.tag != "domain":
        raise VMError(
            vm,
            f"xml of {vm!r} is a <{root.tag}> document",
            hint="write a <domain> element, or elements for <devices> without a declaration",
        )
    return root


def _merge_section(domain: ET.Element, element: ET.Element, vm: str) -> None:
    if element.tag in _OURS:
        raise VMError(vm, f"xml of {vm!r} must not set <{element.tag}>")
    if element.tag == "metadata" and element.find(f"{{{NAMESPACE}}}prefix") is not None:
        raise VMError(vm, f"xml of {vm!r} must not set the library's own metadata")
    ours = domain.find(element.tag)
    if ours is None:
        domain.append(element)
        return
    ours.attrib.update(element.attrib)
    if element.text is not None and element.text.strip():
        ours.text = element.text
    for child in element:
        same = ours.findall(child.tag)
        if element.tag != "devices" and len(same) == 1:
            ours.remove(same[0])
        ours.append(child)


def _get_child(domain: ET.Element, tag: str) -> ET.Element:
    child = domain.find(tag)
    assert child is not None, f"a rendered domain has <{tag}>"
    return child
