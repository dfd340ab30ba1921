"""Packets of nets and nics into pcap files."""

from __future__ import annotations

import os
import shlex
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

import attrs

from lago_sdk.errors import CaptureError, LagoError, VMError
from lago_sdk.render.pcap import render_head, render_packet
from lago_sdk.service.observing.running import check_active, get_hypervisor
from lago_sdk.state import NetState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan
    from lago_sdk.ports.packets import Packet, PacketTap
    from lago_sdk.service.context import PrefixContext

Target: TypeAlias = "str | os.PathLike[str] | BinaryIO"
"""A file that is made or overwritten, or an open one that stays open."""

SNAPLEN = 262_144
"""More than any packet has, those that network cards put together included."""
_POLL_SECONDS = 0.1


@attrs.frozen(kw_only=True)
class CaptureReport:
    """What a capture caught."""

    path: Path | None
    """The file; ``None`` where it was the caller's own."""
    packets: int
    """Packets that were written."""
    size: int
    """Bytes of the file."""
    lost: int
    """Packets that came too fast to be taken."""
    seconds: float
    """From its start to its end."""


@attrs.frozen(kw_only=True)
class CaptureLimits:
    """When a capture ends by itself."""

    count: int | None = None
    """After so many packets."""
    duration: float | None = None
    """After so many seconds."""

    def check(self) -> None:
        """Return when they make sense.

        Raises:
            CaptureError: They do not.
        """
        if self.count is not None and self.count < 1:
            raise CaptureError(f"a capture of {self.count} packets has nothing to do")
        if self.duration is not None and not 0 < self.duration < threading.TIMEOUT_MAX:
            raise CaptureError(f"nothing can be captured for {self.duration:g} seconds")


class Capture:
    """A capture that has begun; get it from ``net.capture(path)`` or ``vm.capture(path)``.

    As a context manager it ends with the block. All packets that passed before it was stopped are
    in the file then; while it goes on the file is complete up to some tenths of a second ago. It
    ends with our process, however that ends.
    """

    def __init__(self, tap: PacketTap, target: Target, *, limits: CaptureLimits) -> None:
        """Use ``net.capture`` or ``vm.capture``."""
        self._tap = tap
        self._limits = limits
        self._path = Path(target) if isinstance(target, (str, os.PathLike)) else None
        try:
            self._file: BinaryIO = _open(target)
        except BaseException:
            tap.close()
            raise
        self._packets = 0
        self._size = 0
        self._error: LagoError | None = None
        self._stop = threading.Event()
        self._begin = time.monotonic()
        self._end: float | None = None
        self._thread = threading.Thread(target=self._run, name="lago capture", daemon=True)

    @property
    def path(self) -> Path | None:
        """The file; ``None`` where it is the caller's own."""
        return self._path

    @property
    def packets(self) -> int:
        """Packets that were written so far."""
        return self._packets

    @property
    def is_running(self) -> bool:
        """Whether it goes on: nobody stopped it, no limit is reached, its device is there."""
        return self._thread.is_alive()

    def start(self, snaplen: int) -> Self:
        """Begin; called by whoever made it."""
        try:
            self._write(render_head(snaplen))
        except OSError as error:
            self._close()
            raise CaptureError(f"the capture cannot be written: {error.strerror}") from error
        self._thread.start()
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it ends by itself; returns whether it has.

        Args:
            timeout: Seconds to wait at most; for ever when ``None``.
        """
        self._thread.join(timeout)
        return not self.is_running

    def stop(self) -> CaptureReport:
        """End it, with all packets that have passed in the file. Idempotent.

        Raises:
            CaptureError: The file could not be written, or nothing can be captured any more; it
                holds what came before.
        """
        report = self._finish()
        if self._error is not None:
            raise self._error
        return report

    def __enter__(self) -> Self:
        """Return the capture itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; its own trouble is not told where the block failed anyway."""
        if error is None:
            self.stop()
        else:
            self._finish()

    # -- inside ----------------------------------------------------------------------------

    def _finish(self) -> CaptureReport:
        self._stop.set()
        self._thread.join()
        return CaptureReport(
            path=self._path,
            packets=self._packets,
            size=self._size,
            lost=self._tap.count_lost(),
            seconds=(self._end or time.monotonic()) - self._begin,
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self._is_full():
                self._take(self._tap.read(self._next_wait()))
            self._drain(time.time_ns())
        except BrokenPipeError:
            pass  # whoever read it has seen enough
        except OSError as error:
            self._error = CaptureError(f"the capture cannot be written: {error.strerror}")
        except LagoError as error:
            self._error = error
        finally:
            self._end = time.monotonic()
            self._close()

    def _drain(self, moment: int) -> None:
        """Take what passed before *moment*, and nothing of what still comes."""
        while packets := self._tap.read(0):
            early = [packet for packet in packets if packet.time <= moment]
            self._take(early)
            if len(early) < len(packets):
                return

    def _is_full(self) -> bool:
        duration = self._limits.duration
        is_over = duration is not None and time.monotonic() - self._begin >= duration
        return is_over or self._packets == self._limits.count

    def _next_wait(self) -> float:
        if self._limits.duration is None:
            return _POLL_SECONDS
        left = self._begin + self._limits.duration - time.monotonic()
        return max(0.0, min(_POLL_SECONDS, left))

    def _take(self, packets: Iterable[Packet]) -> None:
        room = None if self._limits.count is None else self._limits.count - self._packets
        taken = list(packets)[:room]
        if taken:
            self._write(b"".join(render_packet(x.time, x.data, x.length) for x in taken))
            self._packets += len(taken)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        self._size += len(data)

    def _close(self) -> None:
        self._tap.close()
        if self._path is not None:
            self._file.close()


def capture_net(
    net: NetPlan,
    context: PrefixContext,
    target: Target,
    *,
    words: str | Sequence[str] | None,
    limits: CaptureLimits,
    snaplen: int,
) -> Capture:
    """Begin to capture all that passes on *net*.

    Raises:
        CaptureError: The net is down, the filter makes no sense, or the file cannot be written.
        HostError: The host does not answer.
    """
    host = context.world.host
    is_up = not host.is_ended() and context.hypervisor.find_network(net.network) is NetState.UP
    if not is_up:
        message = f"the net {net.name!r} is down: there is nothing to capture"
        raise CaptureError(message, hint="start it: lagoctl start")
    return _begin(context, net.bridge, target, words=words, limits=limits, snaplen=snaplen)


def capture_nic(
    vm: VMPlan,
    nic: NicPlan,
    context: PrefixContext,
    target: Target,
    *,
    words: str | Sequence[str] | None,
    limits: CaptureLimits,
    snaplen: int,
) -> Capture:
    """Begin to capture all that *nic* of *vm* sends and receives.

    Raises:
        VMNotRunningError: The VM is off.
        CaptureError: The filter makes no sense, or the file cannot be written.
        HostError: The host does not answer.
    """
    hypervisor = get_hypervisor(vm, context, need=f"its nic {nic.index}", is_use=False)
    check_active(vm, hypervisor)
    device = hypervisor.find_nic_device(vm.domain, nic.mac)
    if device is None:
        message = f"the nic {nic.index} of {vm.name!r} has no device on this host"
        raise CaptureError(message, hint=f"capture the net: lagoctl capture {nic.net}")
    return _begin(context, device, target, words=words, limits=limits, snaplen=snaplen)


def get_nic(vm: VMPlan, index: int) -> NicPlan:
    """Return the nic ``eth<index>`` of *vm*.

    Raises:
        VMError: There is none; the hint names those there are.
    """
    for nic in vm.nics:
        if nic.index == index:
            return nic
    known = ", ".join(f"{nic.index} ({nic.net})" for nic in vm.nics)
    hint = f"there are: {known}" if known else None
    raise VMError(vm.name, f"{vm.name!r} has no nic {index}", hint=hint)


def _begin(
    context: PrefixContext,
    device: str,
    target: Target,
    *,
    words: str | Sequence[str] | None,
    limits: CaptureLimits,
    snaplen: int,
) -> Capture:
    limits.check()
    if not 1 <= snaplen <= SNAPLEN:
        raise CaptureError(f"{snaplen} bytes of a packet cannot be kept", hint=f"1 to {SNAPLEN}")
    tap = context.world.host.open_tap(device, words=_split(words), snaplen=snaplen)
    return Capture(tap, target, limits=limits).start(snaplen)


def _split(words: str | Sequence[str] | None) -> tuple[str, ...]:
    if words is None:
        return ()
    try:
        return tuple(shlex.split(words)) if isinstance(words, str) else tuple(words)
    except ValueError as error:
        raise CaptureError(f"{words!r} is no filter: {error}") from error


def _open(target: Target) -> BinaryIO:
    """Open the file, which is written in whole records.

    Raises:
        CaptureError: It cannot be.
    """
    if not isinstance(target, (str, os.PathLike)):
        return target
    try:
        return Path(target).open("wb")
    except OSError as error:
        message = f"the capture cannot be written to {str(target)!r}: {error.strerror}"
        raise CaptureError(message, hint="name a file in a directory that you may write") from error
