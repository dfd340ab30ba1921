"""Bringing back the kept state of one VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError, SnapshotError
from lago_sdk.events import Note
from lago_sdk.ports.snapshots import StateMissingError
from lago_sdk.render.machine import clean_machine, move_machine
from lago_sdk.service.power.start import Starter
from lago_sdk.service.snapshots.disks import check_kept, lost, put_back
from lago_sdk.service.snapshots.model import Mechanism, SnapshotKind, make_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.model import Snapshot, VMSnapshot
    from lago_sdk.service.snapshots.store import SnapshotStore


class Recall:
    """Brings VMs back to a snapshot; what it starts is paused."""

    def __init__(self, context: PrefixContext, store: SnapshotStore, snapshot: Snapshot) -> None:
        self._context = context
        self._store = store
        self._name = snapshot.name
        self._tag = make_tag(snapshot.name)

    def check(self, kept: VMSnapshot) -> None:
        """Return when all that is needed is there.

        Raises:
            SnapshotError: Something is gone; says what, and nothing was changed.
        """
        store, name, vm = self._store, self._name, kept.vm
        if kept.kind is SnapshotKind.MEMORY and not store.machine(name, vm).exists():
            raise lost(vm, name, str(store.machine(name, vm)))
        if kept.mechanism is Mechanism.OUTSIDE and not store.memory(name, vm).exists():
            raise lost(vm, name, str(store.memory(name, vm)))
        check_kept(kept, name, store, self._context.world.images)

    def is_same_machine(self, vm: VMPlan, kept: VMSnapshot) -> bool:
        """Whether the QEMU that runs has the devices of then, and can load the state itself."""
        if kept.mechanism is not Mechanism.INSIDE:
            return False
        runs = clean_machine(self._context.hypervisor.get_machine(vm.domain))
        return runs == self._read_machine(vm)

    def load(self, vm: VMPlan) -> bool:
        """Load the state into the QEMU that runs, which is paused; whether that went well.

        Where it did not, the VM has to be begun anew.

        Raises:
            SnapshotError: Its disks do not hold the state any more; the VM is as it was.
        """
        try:
            self._context.hypervisor.load_inside(vm.domain, self._tag)
        except StateMissingError as error:
            raise lost(vm.name, self._name, "its disk") from error
        except HypervisorError as error:
            text = f"{vm.name} is started anew: its QEMU cannot load the state: {error.message}"
            self._context.world.observe(Note(message=text))
            return False
        return True

    def begin(self, vm: VMPlan, kept: VMSnapshot) -> None:
        """Begin a VM that is off from its kept memory, paused.

        Raises:
            SnapshotError: It cannot; says why.
        """
        xml = self._read_machine(vm)
        assert xml is not None
        hypervisor = self._context.hypervisor
        try:
            if kept.mechanism is Mechanism.OUTSIDE:
                put_back(kept, self._name, self._store, self._context.world.images)
                hypervisor.restore_outside(self._store.memory(self._name, vm.name), xml)
            else:
                hypervisor.create_paused(xml)
                hypervisor.load_inside(vm.domain, self._tag)
        except StateMissingError as error:
            raise lost(vm.name, self._name, "its disk") from error
        except HypervisorError as error:
            raise SnapshotError(
                f"{vm.name!r} cannot go back to {self._name!r}: {error.message}",
                hint=error.hint or f"it is off now; start it as it was: lagoctl start {vm.name}",
            ) from error

    def put_back_disks(self, kept: VMSnapshot) -> None:
        """Give a VM that is off the disks of then."""
        put_back(kept, self._name, self._store, self._context.world.images)

    def _read_machine(self, vm: VMPlan) -> str | None:
        path = self._store.machine(self._name, vm.name)
        try:
            text = path.read_text()
        except OSError:
            return None
        moved = move_machine(text, str(self._context.layout.path))
        return text if moved == text else clean_machine(moved)


class RecallStarter(Starter):
    """Brings up host and nets as a start does, and VMs from a snapshot, paused.

    Args:
        context: The prefix.
        recall: Begins a VM.
        kept: What is kept of each VM that is started.
    """

    def __init__(
        self, context: PrefixContext, recall: Recall, kept: Mapping[str, VMSnapshot]
    ) -> None:
        super().__init__(context, wait=False)
        self._recall = recall
        self._kept = kept

    def _create_domain(
        self,
        vm: VMPlan,
        facts: HostFacts,  # noqa: ARG002 - the machine is that of then
        *,
        is_known: bool,  # noqa: ARG002
    ) -> None:
        self._undo.append(lambda: self._context.hypervisor.remove_domain(vm.domain))
        self._recall.begin(vm, self._kept[vm.name])
