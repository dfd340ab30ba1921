"""Kept states of the fake hypervisor: tags in the files of fake images, and files of memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError
from lago_sdk.ports.snapshots import Activity, StateMissingError
from lago_sdk.render.machine import parse_machine
from lago_sdk.render.tags import parse_tag
from lago_sdk.state import VMState
from lago_sdk.testing.hypervisor_part import DomainRecord, FakePart, parse_xml
from lago_sdk.testing.images import FakeImages

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEMORY_BYTES = 1 << 20
"""What the memory of every domain takes."""


class FakeStates(FakePart):
    """Kept states of domains that run nothing: only whether they are there is true."""

    def write_blocks(self, name: str, *, requests: int = 1) -> None:
        """Let the guest of the domain *name* write to its first disk."""
        with self._lock:
            self._domains[name].writes += requests

    def receive(self, name: str, *, size: int) -> None:
        """Let a packet of *size* bytes come in by the first nic of the domain *name*."""
        with self._lock:
            domain = self._domains[name]
            domain.received = (domain.received[0] + size, domain.received[1] + 1)

    def get_machine(self, name: str) -> str:
        """See `States.get_machine`."""
        with self._lock:
            self._begin("get_machine", name)
            return self._get_running(name, "read the machine of").xml

    def create_paused(self, xml: str) -> None:
        """See `States.create_paused`."""
        name, uuid = parse_xml(xml, "domain")
        with self._lock:
            self._begin("create_paused", name)
            self._fail(name, "create")
            self._domains[name] = _make_paused(uuid, xml)

    def save_inside(self, name: str, tag: str) -> None:
        """See `States.save_inside`."""
        with self._lock:
            self._begin("save_inside", name)
            self._fail(name, "save")
            for index, path in enumerate(self._list_qcow2(name, "save")):
                FakeImages().write_snapshot(path, tag, 0 if index else _MEMORY_BYTES)

    def load_inside(self, name: str, tag: str) -> None:
        """See `States.load_inside`."""
        with self._lock:
            self._begin("load_inside", name)
            paths = self._list_qcow2(name, "load a state into")
            if not all(tag in FakeImages().list_snapshots(path) for path in paths):
                raise StateMissingError(f"{name} does not have the requested snapshot '{tag}'")
            self._fail(name, "load")

    def delete_inside(self, name: str, tag: str) -> None:
        """See `States.delete_inside`."""
        with self._lock:
            self._begin("delete_inside", name)
            for path in self._list_qcow2(name, "delete a state of"):
                FakeImages().delete_snapshot(path, tag)

    def mark_disks(self, name: str, tag: str) -> None:
        """See `States.mark_disks`."""
        with self._lock:
            self._begin("mark_disks", name)
            self._fail(name, "save")
            for path in self._list_qcow2(name, "save the disks of"):
                FakeImages().write_snapshot(path, tag, 0)

    def save_outside(self, name: str, path: Path) -> None:
        """See `States.save_outside`."""
        with self._lock:
            self._begin("save_outside", name)
            self._fail(name, "save")
            self._get_running(name, "save")
            path.write_text(f"memory of {name}\n")
            self._switch_off(name, "saved")

    def save_beside(self, name: str, path: Path) -> None:
        """See `States.save_beside`."""
        with self._lock:
            self._begin("save_beside", name)
            self._fail(name, "save")
            if self._get_running(name, "save").state is not VMState.PAUSED:
                raise HypervisorError(f"domain {name!r} is not paused")
            path.write_text(f"memory of {name}\n")

    def restore_outside(self, path: Path, xml: str) -> None:
        """See `States.restore_outside`."""
        name, uuid = parse_xml(xml, "domain")
        with self._lock:
            self._begin("restore_outside", name)
            self._fail(name, "load")
            if not path.exists():
                raise HypervisorError(f"cannot restore domain {name!r} from {path}: no such file")
            self._domains[name] = _make_paused(uuid, xml)

    def wait_idle(self, name: str, *, timeout: float) -> None:  # noqa: ARG002 - never busy
        """See `States.wait_idle`."""
        with self._lock:
            self._begin("wait_idle", name)

    def read_activity(self, prefix_uuid: str) -> Mapping[str, Activity]:
        """See `States.read_activity`."""
        with self._lock:
            self._begin("read_activity", prefix_uuid)
            return {
                name: Activity(
                    run=domain.run,
                    blocks={"vda": domain.writes},
                    received={"vnet0": domain.received},
                )
                for name, domain in self._domains.items()
                if domain.owner == prefix_uuid and domain.state.is_active
            }

    def _list_qcow2(self, name: str, action: str) -> list[Path]:
        machine = parse_machine(self._get_running(name, action).xml)
        return [Path(disk.path) for disk in machine.disks if disk.path and disk.format == "qcow2"]

    def _get_running(self, name: str, action: str) -> DomainRecord:
        domain = self._domains.get(name)
        if domain is None or not domain.state.is_active:
            raise HypervisorError(f"cannot {action} domain {name!r}: it is off")
        return domain


def _make_paused(uuid: str, xml: str) -> DomainRecord:
    tag = parse_tag(xml)
    return DomainRecord(
        uuid=uuid,
        owner=tag.prefix_uuid if tag is not None else None,
        xml=xml,
        state=VMState.PAUSED,
        reason="starting up",
    )
