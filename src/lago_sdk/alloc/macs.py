"""MAC addresses: the same in every run, unique within a plan."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_NIC_OCTET = "56"
"""First octet of nics that have no IPv4: unicast, locally administered."""
_BRIDGE_HEAD = "52:54:00"
"""QEMU's and libvirt's customary first half."""


def mac_of_address(address: int) -> str:
    """Return Lago's MAC of an IPv4 address (as a number): ``54:52`` and its four octets."""
    return (
        f"54:52:{address >> 24 & 255:02x}:{address >> 16 & 255:02x}"
        f":{address >> 8 & 255:02x}:{address & 255:02x}"
    )


def allocate_nic_mac(uuid: str, vm: str, index: int, taken: Collection[str]) -> str:
    """Return a MAC, not in *taken*, for the nic *index* of *vm*, which its address cannot give."""
    return _allocate_hashed(_NIC_OCTET, f"{uuid}/nic/{index}/{vm}", taken)


def allocate_bridge_mac(uuid: str, net: str, taken: Collection[str]) -> str:
    """Return a MAC, not in *taken*, for the bridge of *net*."""
    return _allocate_hashed(_BRIDGE_HEAD, f"{uuid}/bridge/{net}", taken)


def _allocate_hashed(head: str, key: str, taken: Collection[str]) -> str:
    octets = 6 - len(head.split(":"))
    attempt = 0
    while True:
        data = f"{key}/{attempt}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(data).digest()
        mac = ":".join((head, *(f"{octet:02x}" for octet in digest[:octets])))
        if mac not in taken:
            return mac
        attempt += 1
