"""Kept states of domains behind the `States` port.

libvirt's own snapshots are not used: it reverts by starting a new QEMU (two seconds, where
QEMU's monitor needs a tenth of one), and would keep a list of its own beside ours. Commands of
the human monitor (https://www.qemu.org/docs/master/system/monitor.html) tell an error by their
text; no text is success.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lago_sdk.adapters.libvirt.errors import Reason, tolerated
from lago_sdk.adapters.libvirt.part import GONE, Part, parse_name
from lago_sdk.errors import HypervisorError
from lago_sdk.ports.snapshots import Activity, StateMissingError
from lago_sdk.render.fork import parse_targets, render_memory_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_MISSING = re.compile(r"does not have the requested snapshot|does not exist in one or more devices")
"""How QEMU says, before it changes anything, that a state is not there."""
_FULL = re.compile(r"No space left|Error -28\b|\b-28\b")
"""How QEMU and libvirt tell ENOSPC."""
_NO_SPACE = "the file system is full: free some space"
_POLL_SECONDS = 0.05
_COUNTER = re.compile(r"(block|net)\.(\d+)\.(name|wr\.reqs|rx\.bytes|rx\.pkts)")


class LibvirtStates(Part):
    """Kept states of the domains of a libvirtd, as a `lago_sdk.ports.snapshots.States`."""

    def get_machine(self, name: str) -> str:
        """See `States.get_machine`."""
        import libvirt

        with self._with_domain(name, f"read the machine of domain {name!r}") as domain:
            if not domain.isActive():
                raise HypervisorError(f"domain {name!r} is off")
            flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
            return str(domain.XMLDesc(flags))

    def create_paused(self, xml: str) -> None:
        """See `States.create_paused`."""
        import libvirt

        with self._doing(f"start domain {parse_name(xml)!r} paused") as connection:
            with self._defining:
                domain = connection.defineXMLFlags(xml, 0)
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)

    def save_inside(self, name: str, tag: str) -> None:
        """See `States.save_inside`."""
        self._tell(name, f"savevm {tag}", f"save the state of domain {name!r}")

    def load_inside(self, name: str, tag: str) -> None:
        """See `States.load_inside`."""
        self._tell(name, f"loadvm {tag}", f"load a state into domain {name!r}")

    def delete_inside(self, name: str, tag: str) -> None:
        """See `States.delete_inside`."""
        with self._asking(name, f"delete a state of domain {name!r}") as ask:
            # Not `delvm`: it gives up where any disk cannot keep a state, such as a raw one.
            for node in _list_qcow2(ask("query-block")):
                if any(kept["name"] == tag for kept in node["image"].get("snapshots", [])):
                    device = node["node-name"]
                    ask("blockdev-snapshot-delete-internal-sync", device=device, name=tag)

    def mark_disks(self, name: str, tag: str) -> None:
        """See `States.mark_disks`."""
        with self._asking(name, f"keep the disks of domain {name!r}") as ask:
            nodes = [node["node-name"] for node in _list_qcow2(ask("query-block"))]
            data = [{"device": node, "name": tag} for node in nodes]
            if data:
                kind = "blockdev-snapshot-internal-sync"
                ask("transaction", actions=[{"type": kind, "data": item} for item in data])

    def save_outside(self, name: str, path: Path) -> None:
        """See `States.save_outside`."""
        import libvirt

        with self._with_domain(name, f"save the memory of domain {name!r} to {path}") as domain:
            domain.saveFlags(str(path), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)

    def save_beside(self, name: str, path: Path) -> None:
        """See `States.save_beside`.

        It is libvirt's external snapshot of a memory without any disk, which nobody remembers.
        (https://libvirt.org/formatsnapshot.html)
        """
        import libvirt

        with self._with_domain(name, f"write the memory of domain {name!r} to {path}") as domain:
            targets = parse_targets(domain.XMLDesc(0))
            xml = render_memory_snapshot(str(path), targets)
            domain.snapshotCreateXML(xml, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA)

    def restore_outside(self, path: Path, xml: str) -> None:
        """See `States.restore_outside`."""
        import libvirt

        action = f"restore domain {parse_name(xml)!r} from {path}"
        with self._doing(action) as connection:
            with self._defining:
                connection.defineXMLFlags(xml, 0)  # else it would be forgotten once it is off
            connection.restoreFlags(str(path), xml, libvirt.VIR_DOMAIN_SAVE_PAUSED)

    def wait_idle(self, name: str, *, timeout: float) -> None:
        """See `States.wait_idle`."""
        import libvirt

        deadline = time.monotonic() + timeout
        action = f"wait for domain {name!r}"
        with self._doing(action) as connection, tolerated(*GONE, Reason.UNSUPPORTED):
            domain = connection.lookupByName(name)
            while domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
                if time.monotonic() > deadline:
                    raise HypervisorError(f"libvirt is still busy with domain {name!r}")
                time.sleep(_POLL_SECONDS)

    def read_activity(self, prefix_uuid: str) -> Mapping[str, Activity]:
        """See `States.read_activity`."""
        import libvirt

        wanted = (
            libvirt.VIR_DOMAIN_STATS_BLOCK
            | libvirt.VIR_DOMAIN_STATS_INTERFACE
            | libvirt.VIR_DOMAIN_STATS_BALLOON
        )
        active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
        with self._doing("read what domains did") as connection:
            return {
                domain.name(): _read_activity(domain.ID(), stats)
                for domain, stats in connection.getAllDomainStats(wanted, active)
                if self._find_owner(domain) == prefix_uuid
            }

    @contextmanager
    def _asking(self, name: str, action: str) -> Iterator[Callable[..., Any]]:
        """Give a function that has QEMU's monitor do a command to a block that tries *action*.

        (https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html)
        """
        import libvirt_qemu

        with self._with_domain(name, action) as domain:

            def ask(command: str, **arguments: object) -> Any:
                request = json.dumps({"execute": command, "arguments": arguments})
                reply = json.loads(libvirt_qemu.qemuMonitorCommand(domain, request, 0))
                if "error" in reply:
                    raise _refusal(f"cannot {action}", str(reply["error"]["desc"]))
                return reply["return"]

            yield ask

    def _tell(self, name: str, command: str, action: str) -> None:
        """Have the human monitor do *command*."""
        import libvirt_qemu

        with self._with_domain(name, action) as domain:
            flags = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
            said = " ".join(libvirt_qemu.qemuMonitorCommand(domain, command, flags).split())
        if _MISSING.search(said):
            raise StateMissingError(said)
        if said:
            raise _refusal(f"cannot {action}", said.removeprefix("Error: "))


def _refusal(message: str, said: str) -> HypervisorError:
    hint = _NO_SPACE if _FULL.search(said) else None
    return HypervisorError(f"{message}: {said}", hint=hint)


def _list_qcow2(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the writable qcow2 disks of a domain, from the answer to ``query-block``."""
    inserted = [block["inserted"] for block in blocks if "inserted" in block]
    return [item for item in inserted if item["drv"] == "qcow2" and not item["ro"]]


def _read_activity(run: int, stats: Mapping[str, Any]) -> Activity:
    """Sort the counters of one domain (``virDomainListGetStats``) by device."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for key, value in stats.items():
        match = _COUNTER.fullmatch(key)
        if match is not None:
            found.setdefault((match[1], match[2]), {})[match[3]] = value
    named = [(kind, str(item["name"]), item) for (kind, _), item in found.items() if "name" in item]
    return Activity(
        run=run,
        resident=1024 * int(stats.get("balloon.rss", 0)),
        blocks={name: int(item.get("wr.reqs", 0)) for kind, name, item in named if kind == "block"},
        received={
            name: (int(item.get("rx.bytes", 0)), int(item.get("rx.pkts", 0)))
            for kind, name, item in named
            if kind == "net"
        },
    )
