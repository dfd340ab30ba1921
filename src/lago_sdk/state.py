"""The enums of states: one for VMs, one for nets, one for services in a guest."""

from __future__ import annotations

import enum


class VMState(enum.Enum):
    """State of a VM, in libvirt's words (``virDomainState``)."""

    RUNNING = "running"
    BLOCKED = "blocked"
    """Running, and waiting for a resource."""
    PAUSED = "paused"
    SHUTTING_DOWN = "shutting down"
    """The guest has been asked to power off and is at it."""
    SHUT_OFF = "shut off"
    CRASHED = "crashed"
    SUSPENDED = "suspended"
    """Suspended by the guest's power management."""
    DOWN = "down"
    """No domain is defined: never started, or stopped and removed."""
    UNKNOWN = "unknown"
    """libvirt does not know, or its daemon does not answer."""

    @property
    def is_active(self) -> bool:
        """Whether a QEMU process exists for it."""
        return self in _ACTIVE


_ACTIVE = frozenset(
    {
        VMState.RUNNING,
        VMState.BLOCKED,
        VMState.PAUSED,
        VMState.SHUTTING_DOWN,
        VMState.SUSPENDED,
    }
)


class NetState(enum.Enum):
    """State of a net."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def is_active(self) -> bool:
        """Whether VMs can use it."""
        return self is NetState.UP


class ServiceAction(enum.Enum):
    """What can be done to a service in a guest."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


class ServiceState(enum.Enum):
    """State of a service in a guest."""

    MISSING = "missing"
    """The guest has no service of that name."""
    INACTIVE = "inactive"
    ACTIVE = "active"
