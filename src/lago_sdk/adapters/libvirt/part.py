"""What all parts of the hypervisor share: the connection, and whose an object is."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.connection import Connection
from lago_sdk.adapters.libvirt.errors import Reason, tolerated, translated
from lago_sdk.render.tags import parse_tag

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = (Reason.ABSENT, Reason.STATE)
"""Somebody else was faster: it is off, or away, already."""


class Part:
    """A part of the hypervisor at a URI; the parts are summed in one class.

    Args:
        uri: libvirt URI, for example ``qemu:///system``.
    """

    def __init__(self, uri: str) -> None:
        self._connection = Connection(uri)
        self._owners: dict[str, str | None] = {}
        """The prefix of each domain and network by its libvirt uuid: a tag never changes."""
        self._lock = threading.Lock()
        self._defining = threading.Lock()

    @contextmanager
    def _doing(self, action: str) -> Iterator[Any]:
        """Give the open ``virConnect`` to a block that tries *action*; translate its errors."""
        connection = self._connection.get()
        with translated(action):
            yield connection

    def _find_owner(self, thing: Any) -> str | None:
        """Return the uuid of the prefix that a domain or network is tagged with."""
        key = thing.UUIDString()
        with self._lock:
            if key in self._owners:
                return self._owners[key]
        with tolerated(Reason.ABSENT):
            tag = parse_tag(thing.XMLDesc(0))
            owner = tag.prefix_uuid if tag is not None else None
            with self._lock:
                self._owners[key] = owner
            return owner
        return None

    @contextmanager
    def _with_domain(self, name: str, action: str) -> Iterator[Any]:
        """Give the ``virDomain`` *name* to a block that tries *action*; translate its errors."""
        with self._doing(action) as connection:
            yield connection.lookupByName(name)


def parse_name(xml: str) -> str:
    """Return the name in the XML of a domain or network."""
    return ET.fromstring(xml).findtext("name", "")  # noqa: S314 - rendered by us


def is_active(thing: Any) -> bool:
    """Whether a domain or network is active; one that is gone is not."""
    with tolerated(Reason.ABSENT):
        return bool(thing.isActive())
    return False
