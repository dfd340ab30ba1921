"""Ports of our loopback that lead to guests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lago_sdk.errors import HostError, VMError
from lago_sdk.ports import HostKind
from lago_sdk.ports.relays import Address
from lago_sdk.service.guests.reach import find_address
from lago_sdk.service.marks import note_use

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

__all__ = ["Address", "forward", "relay"]

_CONNECT_SECONDS = 10.0
_PORTS = range(1, 1 << 16)


@contextmanager
def forward(
    vm: VMPlan,
    context: PrefixContext,
    port: int,
    *,
    local_port: int = 0,
    address: str | None = None,
) -> Iterator[Address]:
    """Forward a port of our loopback to a TCP port of *vm* for the block.

    Raises:
        VMError: It has no address.
        HostError: We cannot listen on *local_port*, or a port is none.
    """
    target = address or find_address(vm)
    if target is None:
        message = f"{vm.name!r} has no address to forward to"
        raise VMError(vm.name, message, hint="plug one of its nics into a net with addresses")
    with relay(vm, context, Address(target, port), local_port=local_port) as near:
        yield near


@contextmanager
def relay(
    vm: VMPlan, context: PrefixContext, target: Address, *, local_port: int
) -> Iterator[Address]:
    """Forward a port of our loopback to *target* in the prefix's networks for the block.

    Raises:
        HostError: We cannot listen on *local_port*, a port is none, or the host is another machine.
    """
    host = context.world.host
    if host.kind is HostKind.REMOTE and not vm.is_remote:
        message = f"nothing can be forwarded to {target}: it is in another machine's networks"
        raise HostError(message, hint=f"ssh -L {target.port}:{target} to that machine does")
    for port in (target.port, local_port or target.port):
        if port not in _PORTS:
            raise HostError(f"{port} is no TCP port", hint="a port is a number from 1 to 65535")

    def dial() -> socket.socket:
        note_use(context.layout, vm.name)
        return context.world.dial(vm, target.host, target.port, timeout=_CONNECT_SECONDS)

    opened = context.world.relays.open_relay(dial, local_port=local_port)
    try:
        yield opened.address
    finally:
        opened.close()
