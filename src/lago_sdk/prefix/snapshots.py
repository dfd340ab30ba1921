"""A prefix goes back to where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.mapping import NamedMapping
from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.select import list_names

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.service.snapshots.model import RevertReport, Snapshot, SnapshotReport


class PrefixSnapshots(PrefixBase):
    """Verbs for snapshots."""

    @property
    def snapshots(self) -> Mapping[str, Snapshot]:
        """Its snapshots by name, oldest first."""
        from lago_sdk.service.snapshots.store import SnapshotStore

        store = SnapshotStore(self._layout, self._world.files)
        found = {snapshot.name: snapshot for snapshot in store.list_snapshots()}
        return NamedMapping(found, store.get)

    def create_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None, *, memory: bool = True
    ) -> SnapshotReport:
        """Keep the state of VMs (all for ``None``) at one moment, to go back to.

        VMs that run stand still meanwhile, all at once, and run on; those that are off are kept
        as they are on disk.

        Args:
            name: Its name; letters, digits, ``.``, ``_`` and ``-``.
            vms: Names of VMs.
            memory: Keep the memory of VMs that run; else their disks only, from which they boot
                when they are reverted. Their file systems are frozen meanwhile where a guest
                agent answers, and as after a power cut elsewhere.

        Raises:
            SnapshotExistsError: One of the VMs has a snapshot of that name.
            SnapshotError: The name is no name, a VM cannot be kept, or there is no space; the
                VMs run on, and nothing of the snapshot is left.
            VMNotFoundError: There is no VM of one of the names.
        """
        from lago_sdk.service.snapshots.create import create_snapshots

        with self.changing("snapshot", snapshots=True):
            self._leave_cache()
            return create_snapshots(self.context, name, list_names(vms), memory=memory)

    def revert_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None, *, if_dirty: bool = False
    ) -> RevertReport:
        """Go back to a snapshot: memory and disks are those of then.

        VMs that were off are started from it, those that have other devices by now begin anew.
        When it returns guests answer ssh and have their clocks set.

        Args:
            name: The snapshot.
            vms: Names of VMs; all that the snapshot has for ``None``.
            if_dirty: Do nothing where nothing has happened to the VMs since they were at it.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
            SnapshotError: It cannot be gone back to; says why.
        """
        from lago_sdk.service.snapshots.repair import repair
        from lago_sdk.service.snapshots.revert import revert_snapshots

        with self.changing("revert", mends=False, snapshots=True):
            repair(self.context, reverts=False)
            return revert_snapshots(self.context, name, list_names(vms), if_dirty=if_dirty)

    def delete_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """Forget a snapshot of VMs (all that it has for ``None``); returns their names.

        Others, and the VMs, stay as they are.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
        """
        from lago_sdk.service.snapshots.delete import delete_snapshots

        with self.changing("delete a snapshot", snapshots=True):
            return delete_snapshots(self.context, name, list_names(vms))

    def is_dirty(self, since: str = "clean", vms: str | Iterable[str] | None = None) -> bool:
        """Whether anything may have happened to VMs since they were at the snapshot *since*.

        Uses of a VM by any process of ours count (ssh, agent, console), and what its counters
        tell: writes to its disks, what it heard from the network, what it wrote to its console,
        and whether it was started, stopped or paused. What is not known counts as dirty.

        Args:
            since: The snapshot.
            vms: Names of VMs; all that the snapshot has for ``None``.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
        """
        return bool(self.list_changes(since, vms))

    def list_changes(
        self, since: str = "clean", vms: str | Iterable[str] | None = None
    ) -> Mapping[str, str]:
        """Return why VMs are dirty, in a few words each; those that are clean are left out.

        Args:
            since: The snapshot.
            vms: As for `is_dirty`.

        Raises:
            SnapshotNotFoundError: As for `is_dirty`.
        """
        from lago_sdk.service.snapshots.clean import list_changes
        from lago_sdk.service.snapshots.revert import select_kept

        kept = select_kept(self.context, self.snapshots[since], list_names(vms))
        return list_changes(self.context, since, kept)
