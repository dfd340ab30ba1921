"""Settings: defaults, then files, then the environment, then arguments; the later wins."""

from __future__ import annotations

import enum


class AccelChoice(enum.Enum):
    """What shall execute guests' instructions."""

    AUTO = "auto"
    """KVM where it works, else TCG."""
    KVM = "kvm"
    TCG = "tcg"
