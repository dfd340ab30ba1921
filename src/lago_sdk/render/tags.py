"""The mark that domains and networks carry: which prefix they belong to.

libvirt keeps whatever it finds in ``<metadata>``, so that what is left over can be traced to
its prefix from the host's side alone.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import attrs

from lago_sdk.render.elements import add

NAMESPACE = "urn:lago-sdk:prefix:1"
"""XML namespace of our metadata; the last part grows when its meaning changes."""

_ALIAS = "lago"


@attrs.frozen(kw_only=True)
class Tag:
    """What a domain or network says about its prefix."""

    prefix_uuid: str
    """32 hex digits."""
    name: str
    """Name of the VM or net in the prefix."""
    path: str | None = None
    """The prefix directory at the time of definition; networks do not carry it."""


def add_tag(parent: ET.Element, tag: Tag) -> None:
    """Append a ``<metadata>`` element with *tag* to a domain or network."""
    attributes = {f"xmlns:{_ALIAS}": NAMESPACE, "uuid": tag.prefix_uuid, "name": tag.name}
    if tag.path is not None:
        attributes["path"] = tag.path
    add(add(parent, "metadata"), f"{_ALIAS}:prefix", attributes)


def parse_tag(xml: str) -> Tag | None:
    """Return the tag in the XML of a domain or network, ``None`` when it has none of ours."""
    element = ET.fromstring(xml).find(f"metadata/{{{NAMESPACE}}}prefix")  # noqa: S314 - libvirt's
    if element is None:
        return None
    return Tag(
        prefix_uuid=element.get("uuid", ""),
        name=element.get("name", ""),
        path=element.get("path"),
    )
