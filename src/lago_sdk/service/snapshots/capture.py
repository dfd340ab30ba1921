"""Keeping the state of one VM, and taking that back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import HypervisorError, SnapshotError
from lago_sdk.events import Note
from lago_sdk.render.machine import move_machine, parse_machine
from lago_sdk.service.snapshots.disks import copy_disks, forget_disks, mark_disks
from lago_sdk.service.snapshots.model import Mechanism, make_tag
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.model import VMSnapshot
    from lago_sdk.service.snapshots.store import SnapshotStore

_NEXT_TO_NOTHING = 4 << 20
"""Bytes: less than QEMU writes at once."""
_BUSY_SECONDS = 120.0
"""How long a libvirt may go on with what somebody asked of it who was killed then."""


class Capture:
    """Keeps VMs in the snapshot *name*; each is paused or off.

    Args:
        context: The prefix.
        store: Its records.
        name: The snapshot.
    """

    def __init__(self, context: PrefixContext, store: SnapshotStore, name: str) -> None:
        self._context = context
        self._store = store
        self._name = name
        self._tag = make_tag(name)
        self._images = context.world.images

    def keep_running(self, vm: VMPlan, kept: VMSnapshot) -> None:
        """Keep a VM that is paused; it is paused afterwards.

        Raises:
            SnapshotError: The file system is full.
            HypervisorError: It cannot be kept.
        """
        try:
            self._keep_running(vm, kept)
        except HypervisorError as error:
            full = self._find_full(kept)
            if full is None:
                raise
            raise SnapshotError(
                f"{vm.name!r} cannot be kept: the file system of {str(full)!r} is full",
                hint="free some space; nothing is lost, and the VM runs on",
            ) from error

    def _find_full(self, kept: VMSnapshot) -> Path | None:
        """Return where there is no space left; QEMU tells an I/O error only."""
        paths = [self._store.absolute(disk.path).parent for disk in kept.disks]
        places = [*paths, self._context.layout.path]
        full = (path for path in places if shutil.disk_usage(path).free < _NEXT_TO_NOTHING)
        return next(full, None)

    def _keep_running(self, vm: VMPlan, kept: VMSnapshot) -> None:
        hypervisor = self._context.hypervisor
        if kept.mechanism is Mechanism.INSIDE:
            hypervisor.save_inside(vm.domain, self._tag)
        elif kept.mechanism is Mechanism.DISKS:
            hypervisor.mark_disks(vm.domain, self._tag)
            copy_disks(kept, self._store, self._images)
        else:
            self._keep_outside(vm, kept)

    def keep_stopped(self, kept: VMSnapshot) -> None:
        """Keep a VM that is off."""
        mark_disks(kept, self._name, self._store, self._images)
        copy_disks(kept, self._store, self._images)

    def undo(self, vm: VMPlan, kept: VMSnapshot) -> None:
        """Take back what was done, however far it came; the VM runs on where it ran before."""
        hypervisor = None if self._context.world.host.is_ended() else self._context.hypervisor
        is_active = False
        if hypervisor is not None:
            hypervisor.wait_idle(vm.domain, timeout=_BUSY_SECONDS)
            info = hypervisor.find_domain(vm.domain)
            is_active = info is not None and info.state.is_active
            if not is_active and self._store.memory(self._name, vm.name).exists():
                is_active = self._try_to_go_on(vm)
            if is_active:
                self._forget_running(vm, kept)
        if not is_active:
            forget_disks(kept, self._name, self._store, self._images)
        self._store.remove_files(self._name, vm.name)

    def _keep_outside(self, vm: VMPlan, kept: VMSnapshot) -> None:
        memory = self._store.memory(self._name, vm.name)
        self._context.hypervisor.save_outside(vm.domain, memory)
        self.keep_stopped(kept)
        self._go_on(vm)

    def _go_on(self, vm: VMPlan) -> None:
        """Begin a VM from the memory that was just saved, paused."""
        xml = self._store.machine(self._name, vm.name).read_text()
        self._context.hypervisor.restore_outside(
            self._store.memory(self._name, vm.name),
            move_machine(xml, str(self._context.layout.path)),
        )

    def _try_to_go_on(self, vm: VMPlan) -> bool:
        """Begin a VM from the only copy of its memory; whether it runs then."""
        try:
            self._go_on(vm)
        except HypervisorError as error:
            text = f"{vm.name} is off: its memory could not be brought back: {error.message}"
            self._context.world.observe(Note(message=text, warning=True))
            return False
        return True

    def _forget_running(self, vm: VMPlan, kept: VMSnapshot) -> None:
        hypervisor = self._context.hypervisor
        hypervisor.delete_inside(vm.domain, self._tag)
        info = hypervisor.find_domain(vm.domain)
        if kept.was_running and info is not None and info.state is VMState.PAUSED:
            hypervisor.resume_domain(vm.domain)


def remove_kept(
    vm: VMPlan | None, kept: VMSnapshot, name: str, context: PrefixContext, store: SnapshotStore
) -> None:
    """Remove what the snapshot *name* keeps of a VM, running or not; idempotent."""
    attached: set[str | None] = set()
    if vm is not None and not context.world.host.is_ended():
        info = context.hypervisor.find_domain(vm.domain)
        if info is not None and info.state.is_active:
            context.hypervisor.delete_inside(vm.domain, make_tag(name))
            machine = parse_machine(context.hypervisor.get_machine(vm.domain))
            attached = {disk.path for disk in machine.disks}
    loose = [disk for disk in kept.disks if str(store.absolute(disk.path)) not in attached]
    forget_disks(attrs.evolve(kept, disks=tuple(loose)), name, store, context.world.images)
    store.remove_files(name, kept.vm)
