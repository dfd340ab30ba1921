"""Whether anything has happened to VMs since they were at a snapshot.

A VM is clean as long as its mark is there and still right. The mark is written when the VM is at
the snapshot, and removed by whoever hands out a road into the guest (ssh, agent, console) or
changes the prefix, in any process. What nobody of us sees is told by write requests of its disks,
by what it wrote to its console, and by its host, which listens for packets to it. Where nobody
listens (the system host, in another process than that of the snapshot or revert) the counters
of its network interfaces tell, which also count what keeps a net going. Whatever is not known
counts as dirty.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lago_sdk.errors import HostError, LagoError
from lago_sdk.render.machine import parse_macs
from lago_sdk.service.observing.status import observe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports.snapshots import Activity
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.model import VMSnapshot
    from lago_sdk.service.snapshots.store import SnapshotStore

_ARP_BYTES = 42
"""An ARP request over Ethernet, as a tap device counts it: what a quiet net is full of."""
_REST_SECONDS = 2.0
"""For a guest on a loaded machine to acknowledge the end of our last command."""


def mark_clean(
    context: PrefixContext, store: SnapshotStore, name: str, vms: Iterable[VMSnapshot]
) -> None:
    """Note that VMs are at the snapshot *name* now."""
    tokens = {
        kept.vm: _listen(context, store, name, context.plan.get_vm(kept.vm))
        for kept in vms
        if kept.was_running
    }
    seen = _look(context)
    directory = context.layout.clean_marks
    directory.mkdir(parents=True, exist_ok=True)
    for kept in vms:
        facts = _describe(context, context.plan.get_vm(kept.vm), kept, seen)
        # Without its counters, a mark that a power cut takes away is no loss.
        text = json.dumps({"snapshot": name, "facts": facts, "token": tokens.get(kept.vm)})
        context.world.files.write_atomic(directory / f"{kept.vm}.json", text)


def _listen(context: PrefixContext, store: SnapshotStore, name: str, vm: VMPlan) -> str | None:
    """Have the host listen for packets to a VM that runs, by all addresses that it may have."""
    ports = context.guests.rest(vm.name, _REST_SECONDS)
    machine = store.machine(name, vm.name)
    macs = {nic.mac.lower() for nic in vm.nics}
    if machine.exists():
        macs.update(parse_macs(machine.read_text()))
    gateways = {net.bridge_mac.lower() for net in context.plan.nets}
    try:
        return context.world.host.listen(
            vm.name, macs=sorted(macs), gateways=sorted(gateways), ports=ports
        )
    except HostError:  # it is one of an older version: the counters have to do
        return None


def list_changes(
    context: PrefixContext, name: str, vms: Mapping[str, VMSnapshot]
) -> dict[str, str]:
    """Return what happened to each of *vms* since they were at the snapshot *name*.

    VMs to which nothing happened are left out.
    """
    try:
        seen = _look(context)
    except LagoError as error:
        return dict.fromkeys(vms, f"its host does not tell: {error.message}")
    found = {}
    for vm, kept in vms.items():
        mark = _read_mark(context.layout.clean_marks / f"{vm}.json")
        if mark is None:
            found[vm] = "it was used, or its prefix was changed"
        elif mark["snapshot"] != name:
            found[vm] = f"it is at the snapshot {mark['snapshot']!r}"
        else:
            now = _describe(context, context.plan.get_vm(vm), kept, seen)
            is_heard = seen.heard.get(str(mark.get("token")))
            reason = _compare(mark["facts"], now, is_heard=is_heard)
            if reason is not None:
                found[vm] = reason
    return found


class _Seen:
    """What the hypervisor tells of all VMs at one moment."""

    def __init__(
        self,
        states: Mapping[str, str],
        activity: Mapping[str, Activity],
        heard: Mapping[str, bool],
    ) -> None:
        self.states = states
        self.activity = activity
        self.heard = heard


def _look(context: PrefixContext) -> _Seen:
    seen = observe(context.plan, context.world.host)
    states = {vm.name: seen.state(vm.name).value for vm in context.plan.vms}
    if context.world.host.is_ended():
        return _Seen(states, {}, {})
    activity = context.hypervisor.read_activity(context.plan.uuid)
    return _Seen(states, activity, context.world.host.heard())


def _describe(
    context: PrefixContext, vm: VMPlan, kept: VMSnapshot, seen: _Seen
) -> dict[str, object]:
    """Return what of *vm* changes when something happens to it, as JSON can hold it."""
    activity = seen.activity.get(vm.domain)
    if activity is None:
        files = [context.layout.path / disk.path for disk in kept.disks]
        return {"state": "off", "files": [_stamp(path) for path in files]}
    return {
        "state": seen.states[vm.name],
        "run": activity.run,
        "blocks": dict(activity.blocks),
        "received": {nic: list(counts) for nic, counts in activity.received.items()},
        "console": _size(context.layout.path / vm.console_log),
    }


def _compare(before: Any, now: dict[str, Any], *, is_heard: bool | None) -> str | None:
    """Return what differs, or ``None``.

    Args:
        before: What a mark holds, which may be damaged.
        now: The same now.
        is_heard: Whether its host has heard packets to it; ``None`` where nobody listened.
    """
    try:
        if before["state"] != now["state"] or before.get("run") != now.get("run"):
            return "it was started, stopped or paused"
        if before.get("files") != now.get("files"):
            return "its disks were written to"
        if before.get("blocks") != now.get("blocks"):
            return "it wrote to its disks"
        if before.get("console") != now.get("console"):
            return "it wrote to its console"
        if is_heard is None:
            is_heard = _has_received(before.get("received", {}), now.get("received", {}))
        if is_heard:
            return "it heard from the network"
    except (KeyError, TypeError, AttributeError, ValueError):
        return "what was noted of it is damaged"
    return None


def _has_received(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether more than ARP has come in since, by the counters of network interfaces."""
    if before.keys() != now.keys():
        return True
    for nic, (size, packets) in now.items():
        earlier_size, earlier_packets = before[nic]
        if size - earlier_size != _ARP_BYTES * (packets - earlier_packets):
            return True
    return False


def _read_mark(path: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) and {"snapshot", "facts"} <= mark.keys() else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
