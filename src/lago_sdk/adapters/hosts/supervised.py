"""Finds the supervisor of a private host, and makes sure that it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.hosts.control import Connection
from lago_sdk.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARENT, _START_TIME = 1, 19
"""Where a process's stat has its parent and its start in clock ticks since boot."""
_POLITE_SECONDS = 3.0
_KILL_SECONDS = 20.0


def find_processes(record: Path, *, pid: int | None) -> tuple[int, ...]:
    """Return pidfds of the supervisor and of the program that waits for it; empty when gone.

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
            return ()
        pid, started = found
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return ()
    stat = _read_stat(pid)
    if stat is None or (started is not None and int(stat[_START_TIME]) != started):
        os.close(pidfd)
        return ()
    return (pidfd, *_find_waiting(int(stat[_PARENT])))


def is_alive(record: Path) -> bool:
    """Whether the supervisor that named itself in *record* has not ended."""
    pidfds = find_processes(record, pid=None)
    try:
        # One that nobody has reaped yet can still be found, and has ended all the same.
        return bool(pidfds) and not _wait_end(pidfds[:1], 0.0)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def end_processes(pidfds: Sequence[int], control: Path) -> None:
    """End the supervisor and wait until everything in its PID namespace has gone.

    Args:
        pidfds: What :func:`find_processes` found; closed afterwards.
        control: Its control socket.

    Raises:
        HostError: It does not end, not even when it is killed.
    """
    try:
        if _ask_to_end(control) and _wait_end(pidfds, _POLITE_SECONDS):
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
        if not _wait_end(pidfds, _KILL_SECONDS):
            raise HostError(
                f"the private host's processes do not end within {_KILL_SECONDS:.0f} s",
                hint="one of them hangs in the kernel; look for state D in ps",
            )
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _ask_to_end(control: Path) -> bool:
    """Whether the supervisor could be asked."""
    try:
        with Connection(control) as connection:
            connection.send({"do": "end"})
    except HostError:
        return False
    return True


def _wait_end(pidfds: Sequence[int], seconds: float) -> bool:
    """The first process of a PID namespace ends after all others in it (pid_namespaces(7))."""
    deadline = time.monotonic() + seconds
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
    return True


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


def _find_waiting(pid: int) -> tuple[int, ...]:
    """The pidfd of ``unshare``, which ends as soon as the supervisor has ended."""
    try:
        if Path(f"/proc/{pid}/comm").read_text() != "unshare\n":
            return ()
        return (os.pidfd_open(pid),)
    except (FileNotFoundError, ProcessLookupError):
        return ()


def _read_stat(pid: int) -> list[bytes] | None:
    """The fields of a process's stat after its name, which is the second of them (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(b")")[2].split()
