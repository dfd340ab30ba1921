"""Finds the supervisor of a private host, and makes sure that it ends."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from lago_sdk.adapters.hosts.control import Connection
from lago_sdk.errors import HostError

_POLITE_SECONDS = 3.0
_KILL_SECONDS = 20.0


def find_process(record: Path, *, pid: int | None) -> int | None:
    """Return a pidfd of the supervisor, or ``None`` when it has gone.

    Args:
        record: The file in which the supervisor named itself; used when *pid* is not known,
            because the socket was lost or does not answer. A pid that somebody else has by now is
            told apart by its start time and the machine's boot.
        pid: What the supervisor said just now.
    """
    started = None
    if pid is None:
        found = _read_record(record)
        if found is None:
            return None
        pid, started = found
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if started is not None and _find_start(pid) != started:
        os.close(pidfd)
        return None
    return pidfd


def end_process(pidfd: int, control: Path) -> None:
    """End the supervisor and wait until everything in its PID namespace has gone.

    Args:
        pidfd: The supervisor; closed afterwards.
        control: Its control socket.

    Raises:
        HostError: It does not end, not even when it is killed.
    """
    try:
        if _ask_to_end(control) and _wait_end(pidfd, _POLITE_SECONDS):
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if not _wait_end(pidfd, _KILL_SECONDS):
            raise HostError(
                f"the private host's processes do not end within {_KILL_SECONDS:.0f} s",
                hint="one of them hangs in the kernel; look for state D in ps",
            )
    finally:
        os.close(pidfd)


def _ask_to_end(control: Path) -> bool:
    """Whether the supervisor could be asked."""
    try:
        with Connection(control) as connection:
            connection.send({"do": "end"})
    except HostError:
        return False
    return True


def _wait_end(pidfd: int, seconds: float) -> bool:
    """The first process of a PID namespace ends after all others in it (pid_namespaces(7))."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _read_record(record: Path) -> tuple[int, int] | None:
    """Pid and start time of the supervisor, if it was started since the machine's boot."""
    try:
        data = json.loads(record.read_text())
        pid, started, boot_id = int(data["pid"]), int(data["started"]), str(data["boot_id"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip():
        return None
    return pid, started


def _find_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot: field 22 of its stat (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(b")")[2].split()[19])
