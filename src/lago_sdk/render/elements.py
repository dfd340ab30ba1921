"""Small helpers over ElementTree: one call adds an element, one call writes the text."""

from __future__ import annotations

from xml.etree import ElementTree as ET


def add(
    parent: ET.Element,
    tag: str,
    attributes: dict[str, str] | None = None,
    *,
    text: str | None = None,
) -> ET.Element:
    """Append an element to *parent* and return it.

    Args:
        parent: The element to append to.
        tag: Name of the new element.
        attributes: Its attributes, written in this order.
        text: Its text.
    """
    element = ET.SubElement(parent, tag, attributes or {})
    element.text = text
    return element


def write(root: ET.Element) -> str:
    """Return *root* as indented text that ends with a newline.

    The same tree always gives the same text.
    """
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
