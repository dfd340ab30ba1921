"""The records of snapshots in the directory of a prefix.

``snapshots/NAME/snapshot.json`` is what makes a snapshot be there: it is written when all is kept,
and removed before anything is. Beside it lie the machines of its VMs (``VM.xml``), memories
(``VM.memory``) and copies of disks. ``snapshots/heads.json`` tells at which snapshot each VM was
last, and ``snapshots/pending.json`` what is being done: it is there as long as somebody is at it,
or since he was killed.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.errors import SnapshotError, SnapshotNotFoundError, suggest
from lago_sdk.service.snapshots.model import (
    DiskState,
    Mechanism,
    Snapshot,
    SnapshotKind,
    VMSnapshot,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.ports import Files
    from lago_sdk.service.layout import PrefixLayout

_RECORD = "snapshot.json"
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError)


@attrs.frozen(kw_only=True)
class Pending:
    """What somebody has begun and not ended."""

    action: str
    """``create``, ``revert`` or ``delete``."""
    name: str
    """The snapshot."""
    vms: Mapping[str, VMSnapshot]
    """The VMs it is about, as far as known when it began."""


class SnapshotStore:
    """Reads and writes the records of one prefix."""

    def __init__(self, layout: PrefixLayout, files: Files) -> None:
        self._root = layout.path
        self._path = layout.snapshots
        self._files = files

    # -- what there is ---------------------------------------------------------------------

    def list_snapshots(self) -> tuple[Snapshot, ...]:
        """Return all snapshots, oldest first."""
        if not self._path.is_dir():
            return ()
        names = [path.parent.name for path in self._path.glob(f"*/{_RECORD}")]
        found = [snapshot for name in names if (snapshot := self.find(name)) is not None]
        return tuple(sorted(found, key=lambda snapshot: (snapshot.created, snapshot.name)))

    def find(self, name: str) -> Snapshot | None:
        """Return the snapshot *name*, or ``None``.

        Raises:
            SnapshotError: Its record is damaged.
        """
        path = self._path / name / _RECORD
        stored = _read(path)
        if stored is None:
            return None
        try:
            vms = {vm: _load_vm(vm, item) for vm, item in stored["vms"].items()}
        except _DAMAGE as error:
            raise SnapshotError(f"the record {str(path)!r} is damaged: {error}") from error
        return Snapshot(name=name, vms=vms)

    def get(self, name: str) -> Snapshot:
        """Return the snapshot *name*.

        Raises:
            SnapshotNotFoundError: There is none; the hint names those there are.
        """
        found = self.find(name)
        if found is None:
            known = [snapshot.name for snapshot in self.list_snapshots()]
            hint = suggest(name, known) or f"make it: lagoctl snapshot {name}"
            raise SnapshotNotFoundError(f"there is no snapshot {name!r}", hint=hint)
        return found

    def save(self, snapshot: Snapshot) -> None:
        """Write the record of *snapshot*, or remove it where no VM is left in it."""
        path = self._path / snapshot.name / _RECORD
        if snapshot.vms:
            vms = {vm: _dump_vm(item) for vm, item in snapshot.vms.items()}
            self._write(path, {"vms": vms})
        else:
            path.unlink(missing_ok=True)

    # -- where things of a VM lie ----------------------------------------------------------

    def directory(self, name: str) -> Path:
        """Where the files of the snapshot *name* lie."""
        return self._path / name

    def machine(self, name: str, vm: str) -> Path:
        """The XML of the machine that the VM *vm* was."""
        return self._path / name / f"{vm}.xml"

    def memory(self, name: str, vm: str) -> Path:
        """The memory of the VM *vm*, where it is in a file."""
        return self._path / name / f"{vm}.memory"

    def copy(self, name: str, vm: str, index: int) -> Path:
        """The copy of the disk *index* of the VM *vm*."""
        return self._path / name / f"{vm}.disk{index}"

    def relative(self, path: Path) -> str:
        """Return *path* as records tell it: relative to the prefix where it lies in it."""
        inside = path.is_relative_to(self._root)
        return str(path.relative_to(self._root) if inside else path)

    def absolute(self, path: str) -> Path:
        """Return a path of a record as it is now."""
        return self._root / path

    def remove_files(self, name: str, vm: str) -> None:
        """Remove what lies there for the VM *vm*, and the directory with its last file."""
        directory = self._path / name
        if not directory.is_dir():
            return
        copies = directory.glob(f"{glob.escape(vm)}.disk*")
        for path in (self.machine(name, vm), self.memory(name, vm), *copies):
            path.unlink(missing_ok=True)
        if not any(directory.iterdir()):
            directory.rmdir()

    # -- where VMs are ---------------------------------------------------------------------

    def get_heads(self) -> dict[str, str]:
        """Return the snapshot that each VM was made at or reverted to last."""
        stored = _read(self._path / "heads.json") or {}
        return {str(vm): str(name) for vm, name in stored.items()}

    def save_heads(self, heads: Mapping[str, str]) -> None:
        """Write what `get_heads` returns."""
        self._write(self._path / "heads.json", dict(heads))

    # -- what is being done ----------------------------------------------------------------

    def find_pending(self) -> Pending | None:
        """Return what somebody was at who was killed, or ``None``."""
        stored = _read(self._path / "pending.json")
        try:
            return None if stored is None else _load_pending(stored)
        except _DAMAGE as error:
            raise SnapshotError(f"what was being done is damaged: {error}") from error

    def begin(self, pending: Pending) -> None:
        """Note what is about to be done; nothing of it was done yet."""
        vms = {vm: _dump_vm(item) for vm, item in pending.vms.items()}
        record = {"action": pending.action, "name": pending.name, "vms": vms}
        self._write(self._path / "pending.json", record)

    def end(self) -> None:
        """Note that it is done, or undone."""
        (self._path / "pending.json").unlink(missing_ok=True)

    def _write(self, path: Path, record: Mapping[str, object]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.write_atomic(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise SnapshotError(f"the record {str(path)!r} cannot be read: {error}") from error


def _dump_vm(vm: VMSnapshot) -> dict[str, object]:
    record = attrs.asdict(vm)
    return {**record, "kind": vm.kind.value, "mechanism": vm.mechanism.value}


def _load_vm(vm: str, stored: Mapping[str, Any]) -> VMSnapshot:
    known = {field.name for field in attrs.fields(VMSnapshot)}
    values = {key: stored[key] for key in stored if key in known}
    values["kind"] = SnapshotKind(stored["kind"])
    values["mechanism"] = Mechanism(stored["mechanism"])
    values["disks"] = tuple(DiskState(**disk) for disk in stored["disks"])
    return VMSnapshot(**{**values, "vm": vm})


def _load_pending(stored: Mapping[str, Any]) -> Pending:
    vms = {vm: _load_vm(vm, item) for vm, item in stored["vms"].items()}
    return Pending(action=stored["action"], name=stored["name"], vms=vms)
