"""Room on disk: what is kept is told beforehand, so that nothing is begun that cannot be ended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import SnapshotError
from lago_sdk.service.snapshots.model import Mechanism, SnapshotKind
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.snapshots.choose import Choice

_MIB = 1 << 20
_QCOW2 = DiskFormat.QCOW2.value
_DEVICES_BYTES = 32 * _MIB
"""What the state of devices takes at most, a screen's memory included."""


def find_resident(context: PrefixContext, choices: Iterable[Choice]) -> Mapping[str, int]:
    """Return the memory that QEMU takes, in bytes, by VM whose memory is kept; 0 if unknown."""
    kept = [choice for choice in choices if choice.kind is SnapshotKind.MEMORY]
    activity = context.hypervisor.read_activity(context.plan.uuid) if kept else {}
    found = {}
    for choice in kept:
        used = activity.get(choice.vm.domain)
        found[choice.vm.name] = used.resident if used is not None else 0
    return found


def estimate_memory(vm: VMPlan, resident: int) -> int:
    """Return how many bytes the memory of a VM takes at most.

    Args:
        vm: The VM.
        resident: What its QEMU takes; 0 where nobody knows.
    """
    most = vm.spec.memory * _MIB + _DEVICES_BYTES
    return min(most, resident) if resident else most


def estimate_snapshot(
    choice: Choice, context: PrefixContext, resident: int
) -> list[tuple[Path, int]]:
    """Return which directories what is kept of a VM goes to, and how many bytes at most."""
    own = context.layout.path
    found = [
        (own, get_allocated(Path(disk.path)))
        for disk in choice.disks
        if choice.mechanism is not Mechanism.INSIDE and disk.format != _QCOW2 and disk.path
    ]
    if choice.kind is SnapshotKind.MEMORY:
        paths = [Path(disk.path).parent for disk in choice.disks if disk.path is not None]
        inside = choice.mechanism is Mechanism.INSIDE and paths
        found.append((paths[0] if inside else own, estimate_memory(choice.vm, resident)))
    return found


def check_space(needs: Iterable[tuple[Path, int]], what: str) -> None:
    """Return when there is room for all of *needs*: directories, and bytes that go there.

    Args:
        needs: Directories that exist; some may be on one file system.
        what: What is made, as the subject of a sentence.

    Raises:
        SnapshotError: There may not be.
    """
    by_device: dict[int, tuple[Path, int]] = {}
    for path, size in needs:
        device = os.stat(path).st_dev  # noqa: PTH116 - what shutil asks as well
        by_device[device] = (path, by_device.get(device, (path, 0))[1] + size)
    for path, size in by_device.values():
        free = shutil.disk_usage(path).free
        if size > free:
            raise SnapshotError(
                f"{what} may need {_round_up(size)} MiB in {str(path)!r}, "
                f"where {free // _MIB} MiB are free",
                hint="free some space, or delete snapshots: lagoctl snapshot --list",
            )


def get_allocated(path: Path) -> int:
    """Return the bytes that a file takes on disk; 0 for one that is not there."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def _round_up(size: int) -> int:
    return -(-size // _MIB)
