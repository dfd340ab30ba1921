"""What is known of checkpoints, and what a lab has to do with them."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import WorkdirError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.ports import Files
    from lago_sdk.service.layout import PrefixLayout

SHORT = 12
"""Digits of a key that people are shown."""


class CheckpointStage(enum.Enum):
    """How far a lab that uses the cache has come."""

    COLD = "cold"
    """Nothing fits: its first start boots it, deploys, and keeps a checkpoint."""
    BARRED = "barred"
    """It cannot be kept: its first start boots it and deploys."""
    FROZEN = "frozen"
    """It was made of a checkpoint, and its first start restores the memories."""
    STARTED = "started"
    """Its first start has begun; it was cut off where this is what is left."""
    BOOTED = "booted"
    """It has come up, and no checkpoint has anything to do with it."""
    KEPT = "kept"
    """It has come up, and was kept as a checkpoint then."""
    RESTORED = "restored"
    """It has come up from a checkpoint."""

    @property
    def is_new(self) -> bool:
        """Whether the first start is still to come, or to be finished."""
        return self in {
            CheckpointStage.COLD,
            CheckpointStage.BARRED,
            CheckpointStage.FROZEN,
            CheckpointStage.STARTED,
        }


@attrs.frozen(kw_only=True)
class CheckpointUse:
    """What a lab has to do with the cache."""

    stage: CheckpointStage
    key: str | None = None
    """The key of the lab; ``None`` where it cannot have one."""
    made: float | None = None
    """When the checkpoint was made, in seconds since the epoch; ``None`` without one."""
    deployed: tuple[str, ...] = ()
    """VMs whose deploy scripts have run since they came up."""


@attrs.frozen(kw_only=True)
class Checkpoint:
    """One checkpoint of the cache."""

    key: str
    """64 hex digits: the SHA-256 of all that made it."""
    path: Path
    """Its directory."""
    vms: tuple[str, ...]
    made: float
    """In seconds since the epoch."""
    last_used: float
    """When a lab was last made of it, or else when it was made."""
    hits: int
    """How many labs were made of it."""
    lab: str
    """Directory of the lab that it was made of."""
    disk_usage: int
    """Bytes that it takes on the disk, those of files that labs share with it included."""
    reclaimable: int
    """Bytes that would be free without it: not those that labs still need."""
    users: int
    """Prefixes that have its layers; unknown, and 0, where they had to copy them."""


@attrs.frozen(kw_only=True)
class CheckpointGarbage:
    """What a collection of checkpoints removed, or would."""

    removed: tuple[Checkpoint, ...]
    kept: tuple[Checkpoint, ...]
    is_dry: bool
    """Whether nothing was removed in truth."""

    @property
    def freed(self) -> int:
        """Bytes of the disk that are free by it."""
        return sum(checkpoint.reclaimable for checkpoint in self.removed)


def find_use(layout: PrefixLayout) -> CheckpointUse | None:
    """Return what a lab has to do with the cache; ``None`` where that is nothing.

    Raises:
        WorkdirError: What the lab says of it is damaged.
    """
    try:
        found = json.loads(layout.checkpoint.read_text())
        return CheckpointUse(
            stage=CheckpointStage(found["stage"]),
            key=found["key"],
            made=found["made"],
            deployed=tuple(found["deployed"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkdirError(f"{str(layout.checkpoint)!r} is damaged", hint=str(error)) from error


def write_use(layout: PrefixLayout, use: CheckpointUse, files: Files) -> None:
    """Write down what a lab has to do with the cache."""
    record: Mapping[str, object] = {**attrs.asdict(use), "stage": use.stage.value}
    files.write_atomic(layout.checkpoint, json.dumps(record) + "\n")
