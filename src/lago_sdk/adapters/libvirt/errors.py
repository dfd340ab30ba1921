"""The one place where libvirt's errors become ours.

Whatever libvirt refuses is a `HypervisorError`; when its daemon cannot be reached or goes away
it is a `HostError`, because then nothing on that host can work.
"""

from __future__ import annotations

import enum
import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lago_sdk.errors import HostError, HypervisorError, LagoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class Reason(enum.Enum):
    """What kind of trouble an error number of libvirt tells."""

    UNREACHABLE = enum.auto()
    """No daemon there, or the connection to it is lost."""
    DENIED = enum.auto()
    """The daemon does not let us."""
    ABSENT = enum.auto()
    """What was named does not exist."""
    EXISTS = enum.auto()
    """The name or uuid is taken."""
    INVALID = enum.auto()
    """The XML or an argument makes no sense to libvirt."""
    UNSUPPORTED = enum.auto()
    """This libvirt or QEMU cannot do it."""
    STATE = enum.auto()
    """Not in the present state of the object."""
    BUSY = enum.auto()
    """Somebody else is at it, or it took too long."""
    AGENT = enum.auto()
    """The agent in the guest does not answer."""
    FAILED = enum.auto()
    """It was tried and went wrong."""


_NAMES = {
    Reason.UNREACHABLE: """
        UNKNOWN_HOST NO_CONNECT INVALID_CONN RPC GNUTLS_ERROR SSH LIBSSH NO_SERVER NO_CLIENT
        NO_HOSTNAME
    """,
    Reason.DENIED: """
        OPERATION_DENIED AUTH_FAILED AUTH_CANCELLED AUTH_UNAVAILABLE ACCESS_DENIED
    """,
    Reason.ABSENT: """
        NO_DOMAIN NO_NETWORK NO_STORAGE_POOL NO_STORAGE_VOL NO_NODE_DEVICE NO_INTERFACE
        NO_NWFILTER NO_SECRET NO_DOMAIN_SNAPSHOT NO_DOMAIN_METADATA NO_NWFILTER_BINDING
        NO_DOMAIN_CHECKPOINT NO_DOMAIN_BACKUP NO_NETWORK_PORT NO_NETWORK_METADATA DEVICE_MISSING
    """,
    Reason.EXISTS: """
        DOM_EXIST NETWORK_EXIST STORAGE_VOL_EXIST NETWORK_PORT_EXIST STORAGE_POOL_BUILT
        MULTIPLE_DOMAINS MULTIPLE_INTERFACES
    """,
    Reason.INVALID: """
        INVALID_DOMAIN INVALID_ARG OS_TYPE NO_KERNEL NO_ROOT NO_SOURCE NO_TARGET NO_NAME NO_OS
        NO_DEVICE XML_ERROR CONF_SYNTAX XML_DETAIL INVALID_NETWORK INVALID_MAC
        INVALID_STORAGE_POOL INVALID_STORAGE_VOL INVALID_NODE_DEVICE INVALID_INTERFACE
        INVALID_NWFILTER INVALID_SECRET INVALID_DOMAIN_SNAPSHOT INVALID_STREAM OVERFLOW
        XML_INVALID_SCHEMA INVALID_NWFILTER_BINDING INVALID_DOMAIN_CHECKPOINT
        INVALID_NETWORK_PORT PARSE_FAILED SEXPR_SERIAL
    """,
    Reason.UNSUPPORTED: """
        NO_SUPPORT NO_XEN NO_XENSTORE NO_SECURITY_MODEL CONFIG_UNSUPPORTED ARGUMENT_UNSUPPORTED
        OPERATION_UNSUPPORTED CPU_INCOMPATIBLE
    """,
    Reason.STATE: """
        OPERATION_INVALID SNAPSHOT_REVERT_RISKY MIGRATE_UNSAFE MIGRATE_FINISH_OK
        BLOCK_COPY_ACTIVE CHECKPOINT_INCONSISTENT
    """,
    Reason.BUSY: "OPERATION_TIMEOUT OPERATION_ABORTED RESOURCE_BUSY",
    Reason.AGENT: "AGENT_UNRESPONSIVE AGENT_UNSYNCED AGENT_COMMAND_TIMEOUT",
    Reason.FAILED: """
        OK INTERNAL_ERROR NO_MEMORY OPERATION_FAILED GET_FAILED POST_FAILED HTTP_ERROR XEN_CALL
        DRIVER_FULL CALL_FAILED OPEN_FAILED READ_FAILED WRITE_FAILED SYSTEM_ERROR
        BUILD_FIREWALL MIGRATE_PERSIST_FAILED HOOK_SCRIPT_FAILED STORAGE_PROBE_FAILED
        DBUS_SERVICE AGENT_COMMAND_FAILED
    """,
}
"""Names of ``virErrorNumber`` without their ``VIR_ERR_``, by what they tell."""

REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
"""What each ``virErrorNumber`` tells, by its name without ``VIR_ERR_``."""

_HINTS = {
    Reason.DENIED: "ask the administrator to let you manage VMs: usually the group 'libvirt'",
    Reason.EXISTS: "something else on this host has that name: see `virsh list --all`",
    Reason.UNSUPPORTED: "this libvirt or QEMU is too old, or was built without it",
    Reason.BUSY: "try again",
}

_TRANSPORT_ERRORS = frozenset({"INTERNAL_ERROR", "SYSTEM_ERROR"})
"""What a lost or refused connection is told as, when it comes from the transport."""


def find_reason(error: Any) -> Reason:
    """Return what kind of trouble a ``libvirtError`` tells."""
    import libvirt

    code = error.get_error_code()
    known = (
        reason
        for name, reason in REASONS.items()
        if getattr(libvirt, f"VIR_ERR_{name}", -1) == code
    )
    reason = next(known, Reason.FAILED)
    transport = error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}
    if reason is Reason.FAILED and transport:
        refused = error.get_int1() in {errno.EACCES, errno.EPERM}
        return Reason.DENIED if refused else Reason.UNREACHABLE
    return reason


def translate(error: Any, action: str) -> LagoError:
    """Return our error for a ``libvirtError``.

    Args:
        error: What libvirt raised.
        action: What was tried, as a verb phrase: ``"start domain 'x'"``.
    """
    reason = find_reason(error)
    detail = " ".join((error.get_error_message() or str(error)).split())
    message = f"cannot {action}: {detail}"
    if reason is Reason.UNREACHABLE:
        return HostError(message, hint="is libvirtd running there?")
    if reason is Reason.DENIED:
        return HostError(message, hint=_HINTS[Reason.DENIED])
    return HypervisorError(message, hint=_HINTS.get(reason), code=error.get_error_code())


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn a ``libvirtError`` of the block into ours; *action* says what the block tries.

    Raises:
        HostError: libvirt's daemon cannot be reached or does not let us.
        HypervisorError: libvirt refused.
    """
    import libvirt

    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, action) from error


class tolerated:  # noqa: N801 - reads as what it does, like contextlib.suppress
    """Swallow a ``libvirtError`` of the block that tells one of *reasons*: it is done already."""

    def __init__(self, *reasons: Reason) -> None:
        self._reasons = reasons

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the block; true swallows the error."""
        import libvirt

        return isinstance(error, libvirt.libvirtError) and find_reason(error) in self._reasons
