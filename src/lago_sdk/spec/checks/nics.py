"""Nics: nets that exist, MACs that cards can have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lago_sdk.errors import suggest
from lago_sdk.spec.vm import LOCAL

if TYPE_CHECKING:
    from lago_sdk.spec.nic import NicSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

_MAC = re.compile(r"[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}\Z", re.IGNORECASE)
_MULTICAST = 0x01


def check_nics(spec: PrefixSpec, sink: Sink) -> None:
    """Check each nic of each VM."""
    nets = {net.name for net in spec.nets}
    macs: dict[str, str] = {}
    hints: dict[str, str | None] = {}
    for vm in spec.vms:
        path = ("domains", vm.name)
        if not vm.nics and vm.vm_provider in LOCAL:
            sink.warn(
                (*path, "nics"),
                f"the VM {vm.name!r} has no nics, so nothing can reach it",
                hint="add 'nics: [{net: NAME}]'",
                code="no-nics",
            )
        for index, nic in enumerate(vm.nics):
            place = (*path, "nics", index)
            if nic.net not in nets:
                if nic.net not in hints:  # a thousand VMs may share one slip
                    hints[nic.net] = suggest(nic.net, nets)
                message = f"there is no net {nic.net!r}"
                sink.error((*place, "net"), message, hint=hints[nic.net], code="unknown-net")
            if nic.mac is not None:
                _check_mac(nic, vm.name, (*place, "mac"), macs, sink)


def _check_mac(nic: NicSpec, vm: str, path: Path, macs: dict[str, str], sink: Sink) -> None:
    written = nic.mac or ""
    if not _MAC.match(written):
        hint = "six pairs of hex digits, for example 52:54:00:00:00:01"
        sink.error(path, f"{written!r} is not a MAC address", hint=hint, code="bad-mac")
        return
    mac = written.lower().replace("-", ":")
    first = int(mac[:2], 16)
    if first & _MULTICAST:
        sink.error(
            path,
            f"{written!r} is a multicast address, which no card can have",
            hint=f"the first pair must be even, for example {first & ~_MULTICAST:02x}{mac[2:]}",
            code="bad-mac",
        )
    elif mac == "00:00:00:00:00:00":
        hint = "leave the key out to get one"
        sink.error(path, "a MAC address of zeros is none", hint=hint, code="bad-mac")
    elif mac in macs:
        message = f"the MAC address {mac} is that of a nic of {macs[mac]!r} already"
        hint = "leave the key out to get one"
        sink.error(path, message, hint=hint, code="duplicate-mac")
    else:
        macs[mac] = vm
