"""The log of a VM's console: what the guest wrote there since the VM was made."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, WaitTimeoutError
from lago_sdk.service.guests.console import strip_controls
from lago_sdk.service.guests.reach import read_last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_PAUSE = 0.1
"""Seconds between looks at the file."""
_LOOKS_AT_STATE = 1.0
"""Seconds of silence after which the VM itself is looked at."""


class LogReader:
    """Reads what is added to a log, also when it is cut or replaced by a new one."""

    def __init__(self, path: Path, *, from_start: bool) -> None:
        self._path = path
        self._inode, size = self._look()
        self._offset = 0 if from_start else size

    def read(self) -> bytes:
        """Return what was added since the last call.

        Raises:
            LagoError: The log cannot be read.
        """
        inode, size = self._look()
        if inode != self._inode or size < self._offset:
            self._inode, self._offset = inode, 0
        if size == self._offset:
            return b""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(size - self._offset)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        self._offset += len(data)
        return data

    def _look(self) -> tuple[int, int]:
        """Return the inode and the size; of a log that is not there yet, nothing."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - Path.stat looks the same and costs more
        except FileNotFoundError:
            return 0, 0
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return status.st_ino, status.st_size


def follow(vm: VMPlan, context: PrefixContext, *, from_start: bool) -> Iterator[str]:
    """Yield the lines that the guest writes to its console, until the VM goes off.

    A line that is not complete when it does is yielded as well.

    Raises:
        LagoError: The log cannot be read.
    """
    reader = LogReader(context.layout.path / vm.console_log, from_start=from_start)
    rest = ""
    for data in _read_until_off(reader, vm, context):
        *lines, rest = (rest + data.decode(errors="replace")).split("\n")
        yield from (line.rstrip("\r") for line in lines)
    if rest:
        yield rest.rstrip("\r")


def expect(
    reader: LogReader, vm: VMPlan, context: PrefixContext, pattern: str, *, timeout: float
) -> re.Match[str]:
    """Wait until *pattern* is found in what *reader* gives.

    Raises:
        WaitTimeoutError: It did not come in time, or the VM went off; carries the last lines.
    """
    clock = context.world.clock
    wanted = re.compile(pattern, re.MULTILINE)
    end = clock.monotonic() + timeout
    shown = ""
    for data in _read_until_off(reader, vm, context, end=end):
        shown += data.decode(errors="replace")
        found = wanted.search(strip_controls(shown))
        if found is not None:
            return found
    raise WaitTimeoutError(
        f"{vm.name}: its console did not show {pattern!r} within {timeout:g} s",
        stage="console watched" if clock.monotonic() >= end else "the VM is off",
        console=read_last_lines(context.layout.path / vm.console_log),
    )


def _read_until_off(
    reader: LogReader, vm: VMPlan, context: PrefixContext, *, end: float | None = None
) -> Iterator[bytes]:
    """Yield what comes in until the VM is off, or the moment *end* of the clock has passed."""
    clock = context.world.clock
    looked = clock.monotonic() - _LOOKS_AT_STATE
    while True:
        is_last = False
        if clock.monotonic() - looked >= _LOOKS_AT_STATE:
            looked = clock.monotonic()
            is_last = not _is_active(vm, context)  # asked before the last look at the log
        data = reader.read()
        if data:
            yield data
        if is_last or (end is not None and clock.monotonic() >= end):
            return
        if not data:
            clock.sleep(_PAUSE)


def _is_active(vm: VMPlan, context: PrefixContext) -> bool:
    host = context.world.host
    if vm.is_remote or not host.is_up():
        return False
    info = context.hypervisor.find_domain(vm.domain)
    return info is not None and info.state.is_active


def _unreadable(path: Path, error: OSError) -> LagoError:
    hint = "on a system host libvirt may keep it for root" if error.errno == errno.EACCES else None
    return LagoError(f"cannot read the console's log {str(path)!r}: {error.strerror}", hint=hint)
