"""Displays of VMs that somebody can sit at: where they are served, and with which password."""

from __future__ import annotations

import secrets
import string
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import VMError
from lago_sdk.ports import HostKind
from lago_sdk.ports.relays import Address
from lago_sdk.render.viewer import render_viewer_file
from lago_sdk.service.observing.running import check_active, get_hypervisor
from lago_sdk.service.seeing.forward import relay
from lago_sdk.spec.vm import GraphicsType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Files
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout

_LENGTH = {GraphicsType.VNC: 8, GraphicsType.SPICE: 24}
"""Characters of a password; VNC takes no notice of more than eight (RFC 6143, 7.2.2)."""
_CHARACTERS = string.ascii_letters + string.digits


@attrs.frozen(kw_only=True)
class Graphics:
    """Where a display is served."""

    kind: GraphicsType
    """``VNC`` or ``SPICE``."""
    host: str
    """Its address."""
    port: int
    """TCP port."""
    password: str = attrs.field(repr=False)
    is_forwarded: bool = False
    """Whether the address is one of ours that leads there, as long as we let it."""

    @property
    def url(self) -> str:
        """It as a URL, without the password: ``vnc://127.0.0.1:5900``."""
        return f"{self.kind.value}://{self.host}:{self.port}"


def provide_password(vm: VMPlan, layout: PrefixLayout, files: Files) -> str | None:
    """Return the password of the display of *vm*, made when it is first needed.

    It stays the same as long as the prefix does, so that VMs which are reverted to a snapshot
    have the one that is known.

    Raises:
        LagoError: It cannot be written.
    """
    kind = vm.spec.graphics
    if kind is GraphicsType.NONE:
        return None
    known = find_password(vm, layout)
    if known is not None:
        return known
    password = "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTH[kind]))
    layout.display_passwords.mkdir(mode=0o700, exist_ok=True)
    files.write_atomic(_get_path(vm, layout), password + "\n", mode=0o600)
    return password


def find_password(vm: VMPlan, layout: PrefixLayout) -> str | None:
    """Return the password of the display of *vm*, or ``None`` where it has none yet."""
    try:
        return _get_path(vm, layout).read_text().strip() or None
    except FileNotFoundError:
        return None


def _get_path(vm: VMPlan, layout: PrefixLayout) -> Path:
    return layout.display_passwords / vm.name


def find_graphics(vm: VMPlan, context: PrefixContext) -> Graphics:
    """Return where the display of *vm* is served, in the prefix's networks.

    Raises:
        VMError: It is not.
        VMNotRunningError: The VM is off.
    """
    hypervisor = get_hypervisor(vm, context, need="its display", is_use=False)
    if vm.spec.graphics is GraphicsType.NONE:
        message = f"nobody can sit at the display of {vm.name!r}: it is not served"
        hint = "ask for it in the init file (graphics: vnc); lagoctl screenshot shows it anyway"
        raise VMError(vm.name, message, hint=hint)
    check_active(vm, hypervisor)
    server = hypervisor.find_display_server(vm.domain)
    password = find_password(vm, context.layout)
    if server is None or password is None:
        message = f"the display of {vm.name!r} is not served, although its spec asks for it"
        hint = f"lagoctl stop {vm.name}, then lagoctl start {vm.name}"
        raise VMError(vm.name, message, hint=hint)
    kind = GraphicsType(server.kind)
    return Graphics(kind=kind, host=server.host, port=server.port, password=password)


@contextmanager
def open_display(vm: VMPlan, context: PrefixContext, *, local_port: int = 0) -> Iterator[Graphics]:
    """Have the display of *vm* reachable from this machine for the block.

    Raises:
        VMError: It is not served.
        VMNotRunningError: The VM is off.
        HostError: The host is another machine, or the port is taken.
    """
    graphics = find_graphics(vm, context)
    if context.world.host.kind is HostKind.SYSTEM and not local_port:
        yield graphics
        return
    target = Address(graphics.host, graphics.port)
    with relay(vm, context, target, local_port=local_port) as near:
        yield attrs.evolve(graphics, host=near.host, port=near.port, is_forwarded=True)


def view_display(vm: VMPlan, context: PrefixContext) -> None:
    """Show the display of *vm* in a window until that is closed.

    Raises:
        VMError: It is not served.
        VMNotRunningError: The VM is off.
        MissingToolError: There is no viewer.
    """
    with open_display(vm, context) as graphics:
        text = render_viewer_file(
            kind=graphics.kind.value,
            host=graphics.host,
            port=graphics.port,
            password=graphics.password,
            title=vm.name,
        )
        context.world.relays.run_viewer(text)
