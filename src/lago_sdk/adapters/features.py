"""What this machine has for VMs besides QEMU: firmware, and the helpers that libvirt starts.

Firmware is found as libvirt finds it, by the descriptors of QEMU's docs/interop/firmware.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import find_tool
from lago_sdk.ports import Feature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DESCRIPTORS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
_SHARE_SERVERS = tuple(
    Path(directory, "virtiofsd")
    for directory in ("/usr/lib/qemu", "/usr/libexec", "/usr/libexec/qemu")
)
_SPICE_MODULES = (
    "lib/qemu/ui-spice-core.so",
    "lib/*/qemu/ui-spice-core.so",
    "lib64/qemu*/ui-spice-core.so",
)
"""All distributions that build SPICE at all build it as a module."""
_PACKAGES = {
    Feature.EFI: "ovmf",
    Feature.SECURE_BOOT: "ovmf",
    Feature.TPM: "swtpm swtpm-tools",
    Feature.SHARES: "qemu-system-common virtiofsd",
    Feature.SPICE: "qemu-system-modules-spice",
}
"""Debian packages of each; SPICE is in qemu-system-common up to Debian 12."""


def find_missing() -> Mapping[Feature, str]:
    """Return what this machine lacks, and the Debian packages that bring it."""
    firmware = list(_list_firmware())
    has = {
        Feature.EFI: bool(firmware),
        Feature.SECURE_BOOT: any("secure-boot" in features for features in firmware),
        Feature.TPM: all(find_tool(name) for name in ("swtpm", "swtpm_setup")),
        Feature.SHARES: any(path.exists() for path in _SHARE_SERVERS),
        Feature.SPICE: any(any(Path("/usr").glob(pattern)) for pattern in _SPICE_MODULES),
    }
    return {feature: _PACKAGES[feature] for feature, is_there in has.items() if not is_there}


def _list_firmware() -> Iterator[frozenset[str]]:
    """The features of each UEFI firmware for this kind of machine whose files are there."""
    for directory in _DESCRIPTORS:
        for path in sorted(directory.glob("*.json")):
            try:
                found = json.loads(path.read_text())
                machines = [target["architecture"] for target in found["targets"]]
                image = found["mapping"]["executable"]["filename"]
                is_fit = "uefi" in found["interface-types"] and "x86_64" in machines
                features = frozenset(found["features"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if is_fit and Path(image).exists():
                yield features
