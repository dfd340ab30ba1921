"""What was asked of one network interface of a VM."""

from __future__ import annotations

import enum

import attrs

from lago_sdk.spec.keys import key


class NicModel(enum.Enum):
    """Emulated network card, in libvirt's words."""

    VIRTIO = "virtio"
    E1000 = "e1000"
    E1000E = "e1000e"
    RTL8139 = "rtl8139"


@attrs.frozen(kw_only=True)
class NicSpec:
    """One network interface of a VM."""

    net: str = attrs.field(
        metadata=key("net", "Name of the net it is plugged into.", example="lan")
    )
    ip: str | None = attrs.field(
        default=None,
        metadata=key(
            "ip",
            "Static IPv4 address. On a net whose subnet is allocated only the last octet counts, "
            "so `0.0.0.10` and `300.300.300.10` both ask for host 10.",
            example="192.168.210.4",
        ),
    )
    ip6: str | None = attrs.field(
        default=None,
        metadata=key("ip6", "Static IPv6 address inside the net's IPv6 subnet.", example="fd00::4"),
    )
    mac: str | None = attrs.field(
        default=None,
        metadata=key(
            "mac",
            "MAC address. Without it the address is made from the IPv4 address "
            "(`54:52` and its four octets), so it is the same in every run.",
            example="52:54:00:00:00:01",
        ),
    )
    model: NicModel = attrs.field(
        default=NicModel.VIRTIO, metadata=key("model", "Emulated network card.")
    )
