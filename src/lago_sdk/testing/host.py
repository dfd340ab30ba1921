"""A host that runs nothing, over a hypervisor of dictionaries."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Literal, TypeAlias

from lago_sdk.errors import HostError, MissingToolError
from lago_sdk.plan.facts import Accel, HostFacts, Taken
from lago_sdk.ports import HostKind
from lago_sdk.results import CommandResult
from lago_sdk.testing.hypervisor import FakeHypervisor
from lago_sdk.testing.packets import FakeTap

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Step: TypeAlias = Literal[
    "start", "end", "facts", "taken", "hypervisor", "dial", "run", "open_tap", "listen"
]
"""What of a host can fail."""


class FakeHost:
    """A `lago_sdk.ports.Host`; a private one is up between `start` and `end`, others always.

    Args:
        kind: Which sort of host it plays.
        accel: What executes instructions, as it claims.
        taken: What others use on it.

    Attributes:
        fake_hypervisor: Its hypervisor, reachable for tests whether or not the host is up.
        calls: Methods that were called, in order; questions (`is_up`, `kind`) are left out.
        commands: What `run` was asked, in order.
        taps: What `open_tap` returned, in order.
        listening: MACs and gateways that `listen` was told, by VM.
    """

    def __init__(
        self,
        *,
        kind: HostKind = HostKind.PRIVATE,
        accel: Accel = Accel.KVM,
        taken: Taken | None = None,
    ) -> None:
        self.fake_hypervisor = FakeHypervisor()
        self.calls: list[str] = []
        self.commands: list[tuple[str, ...]] = []
        self.taps: list[FakeTap] = []
        self.listening: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._kind = kind
        self._accel = accel
        self._taken = taken or Taken()
        self._is_started = kind is not HostKind.PRIVATE
        self._tokens: dict[str, str] = {}
        self._heard: set[str] = set()
        self._failures: dict[Step, Exception] = {}
        self._forwards: dict[tuple[str, int], tuple[str, int]] = {}
        self._answers: dict[tuple[str, ...], CommandResult] = {}

    # -- what tests arrange ----------------------------------------------------------------

    def fail(self, step: Step, error: Exception | None) -> None:
        """Make *step* raise *error*; ``None`` makes it work again.

        A host whose ``hypervisor`` fails is one whose libvirtd has died: it is not up, and has
        not ended; starting a private one brings its libvirtd back.
        """
        self._failures.pop(step, None)
        if error is not None:
            self._failures[step] = error

    def forward(self, address: str, port: int, *, to: tuple[str, int]) -> None:
        """Have `dial` to *address* and *port* reach the address and port *to* of this machine."""
        self._forwards[address, port] = to

    def answer(self, argv: Sequence[str], *, code: int = 0, out: str = "", err: str = "") -> None:
        """Have the command *argv* end with *code* and that output."""
        text = " ".join(argv)
        self._answers[tuple(argv)] = CommandResult(command=text, code=code, out=out, err=err)

    def hear(self, vm: str) -> None:
        """Let a packet come to the VM *vm*."""
        self._heard.add(vm)

    # -- the port --------------------------------------------------------------------------

    @property
    def kind(self) -> HostKind:
        """See `Host.kind`."""
        return self._kind

    def is_up(self) -> bool:
        """See `Host.is_up`."""
        return self._is_started and "hypervisor" not in self._failures

    def is_ended(self) -> bool:
        """See `Host.is_ended`."""
        return not self._is_started

    def start(self) -> None:
        """See `Host.start`."""
        self._begin("start")
        self._is_started = True
        if self._kind is HostKind.PRIVATE:
            self._failures.pop("hypervisor", None)

    def end(self) -> None:
        """See `Host.end`; ends everything on a private host, and nothing on others."""
        self._begin("end")
        if self._kind is HostKind.PRIVATE:
            self._is_started = False
            self._tokens.clear()
            self.fake_hypervisor.clear()

    def facts(self) -> HostFacts:
        """See `Host.facts`."""
        self._begin("facts")
        version = self.fake_hypervisor.version()
        return HostFacts(
            accel=self._accel, emulator="/usr/bin/qemu-system-x86_64", libvirt_version=version
        )

    def taken(self) -> Taken:
        """See `Host.taken`."""
        self._begin("taken")
        return self._taken

    def hypervisor(self) -> FakeHypervisor:
        """See `Host.hypervisor`."""
        self._begin("hypervisor")
        if not self._is_started:
            raise HostError("the host is not up")
        return self.fake_hypervisor

    def dial(self, address: str, port: int, *, timeout: float) -> socket.socket:
        """See `Host.dial`.

        Raises:
            ConnectionRefusedError: Nothing was forwarded there.
        """
        self._begin("dial")
        target = self._forwards.get((address, port))
        if target is None:
            raise ConnectionRefusedError(f"nobody listens at {address} port {port}")
        connected = socket.create_connection(target, timeout=timeout)
        connected.settimeout(None)
        return connected

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = 60.0,  # noqa: ARG002 - a fake needs no time
    ) -> CommandResult:
        """See `Host.run`; a command without an answer is a program that is not installed."""
        self._begin("run")
        self.commands.append(tuple(argv))
        result = self._answers.get(tuple(argv))
        if result is None:
            raise MissingToolError(argv[0])
        return result

    def open_tap(self, device: str, *, words: Sequence[str] = (), snaplen: int) -> FakeTap:
        """See `Host.open_tap`; tests find the tap in `taps` and let packets pass there."""
        self._begin("open_tap")
        tap = FakeTap(device, words=tuple(words), snaplen=snaplen)
        self.taps.append(tap)
        return tap

    def listen(
        self,
        vm: str,
        *,
        macs: Collection[str],
        gateways: Collection[str],
        ports: Collection[int] = (),  # noqa: ARG002 - fake guests have none
    ) -> str:
        """See `Host.listen`; tests let it hear something by `hear`."""
        self._begin("listen")
        self._tokens[vm] = f"{vm}-{len(self.calls)}"
        self._heard.discard(vm)
        self.listening[vm] = (frozenset(macs), frozenset(gateways))
        return self._tokens[vm]

    def heard(self) -> Mapping[str, bool]:
        """See `Host.heard`."""
        return {token: vm in self._heard for vm, token in self._tokens.items()}

    def close(self) -> None:
        """See `Host.close`."""
        self.calls.append("close")

    def _begin(self, step: Step) -> None:
        self.calls.append(step)
        if step in self._failures:
            raise self._failures[step]
