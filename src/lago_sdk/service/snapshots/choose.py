"""Which mechanism can keep a VM, or why none can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import SnapshotError
from lago_sdk.plan.models import VMPlan
from lago_sdk.render.machine import MachineDisk, parse_machine
from lago_sdk.service.snapshots.model import Mechanism, SnapshotKind
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk.render.machine import Machine
    from lago_sdk.service.layout import PrefixLayout

_QCOW2 = "qcow2"
_DISKS_ONLY = "keep its disks only: memory=False, or lagoctl snapshot --disk-only"


@attrs.frozen(kw_only=True)
class Choice:
    """How one VM is kept."""

    vm: VMPlan
    kind: SnapshotKind
    mechanism: Mechanism
    disks: tuple[MachineDisk, ...]
    """Its disks that can be written to."""
    machine: str | None = None
    """The XML of what runs; ``None`` for a VM that is off."""
    is_running: bool = False
    """Whether its processors run; they do not in one that is paused."""


def choose_stopped(vm: VMPlan, layout: PrefixLayout) -> Choice:
    """Return how *vm*, which is off, is kept: its disks are all there is."""
    disks = tuple(
        MachineDisk(path=str(layout.path / disk.path), format=disk.format.value)
        for disk in vm.disks
        if disk.format is not DiskFormat.ISO
    )
    return Choice(vm=vm, kind=SnapshotKind.DISK, mechanism=Mechanism.DISKS, disks=disks)


def choose_running(vm: VMPlan, xml: str, *, memory: bool) -> Choice:
    """Return how *vm*, which runs, is kept.

    Args:
        vm: The VM.
        xml: The XML of its machine.
        memory: Whether its memory is wanted.

    Raises:
        SnapshotError: It cannot be kept; says why.
    """
    machine = parse_machine(xml)
    kind = SnapshotKind.MEMORY if memory else SnapshotKind.DISK
    mechanism = _choose_memory(vm, machine) if memory else Mechanism.DISKS
    if mechanism is not Mechanism.INSIDE:
        _check_files(vm, machine)
    return Choice(vm=vm, kind=kind, mechanism=mechanism, disks=machine.disks, machine=xml)


def _choose_memory(vm: VMPlan, machine: Machine) -> Mechanism:
    if machine.shares:
        raise SnapshotError(
            f"the memory of {vm.name!r} cannot be kept: it shares the host's directory "
            f"{machine.shares[0]!r} (virtiofs)",
            hint=_DISKS_ONLY,
        )
    if machine.host_devices:
        raise SnapshotError(
            f"the memory of {vm.name!r} cannot be kept: it uses a device of the host",
            hint=_DISKS_ONLY,
        )
    # QEMU keeps a memory in a qcow2 disk, and only where all that is written to is qcow2: the
    # flash with the variables of UEFI is not, before libvirt 10.9.
    fits = machine.disks and all(disk.format == _QCOW2 for disk in machine.disks)
    return Mechanism.INSIDE if fits and not machine.has_firmware_store else Mechanism.OUTSIDE


def _check_files(vm: VMPlan, machine: Machine) -> None:
    """Return when the content of all disks can be kept."""
    if any(disk.path is None for disk in machine.disks):
        raise SnapshotError(
            f"{vm.name!r} cannot be kept: one of its disks is not a file",
            hint="disks that were attached by other tools may be on the network or a device",
        )
