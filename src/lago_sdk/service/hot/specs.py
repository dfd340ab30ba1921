"""Disks and nics that are asked for one by one, in the words of an init file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.codec import structure_spec
from lago_sdk.spec.disk import DiskSpec
from lago_sdk.spec.nic import NicSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.spec.vm import VMSpec


def check_disk(vm: str, disk: DiskSpec | Mapping[str, object]) -> DiskSpec:
    """Return what *disk* asks for.

    Args:
        vm: The VM that it is for; problems name it.
        disk: A spec, or a mapping as under ``disks`` of an init file.

    Raises:
        SpecError: It is no disk; carries every problem.
    """
    if isinstance(disk, DiskSpec):
        return disk
    return _check(vm, {"disks": [disk]}, net="lan").disks[0]


def check_nic(vm: str, nic: NicSpec | Mapping[str, object] | str) -> NicSpec:
    """Return what *nic* asks for: a spec, a mapping as under ``nics``, or the name of a net.

    Raises:
        SpecError: It is no nic; carries every problem.
    """
    if isinstance(nic, NicSpec):
        return nic
    words: Mapping[str, object] = {"net": nic} if isinstance(nic, str) else nic
    return _check(vm, {"nics": [words]}, net=str(words.get("net") or "lan")).nics[0]


def _check(vm: str, words: Mapping[str, object], *, net: str) -> VMSpec:
    """Return a VM of nothing but *words*; whether there is such a net is looked at elsewhere."""
    return structure_spec({"domains": {vm: words}, "nets": {net: {}}}).vms[0]
