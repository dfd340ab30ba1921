"""Verbs that show what VMs show: pictures, displays, ports."""

import json
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

app = new_family()

VMName = Annotated[str, typer.Argument(metavar="VM", help="The VM.")]
LocalPort = Annotated[
    int,
    typer.Option(
        "--port", metavar="N", min=0, max=65535, help="Port on 127.0.0.1; a free one when absent."
    ),
]


@verb(
    app,
    "lagoctl screenshot web",
    "lagoctl screenshot web boot.png",
    "lagoctl screenshot web - | display",
)
def screenshot(
    session: Session,
    vm: VMName,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="VM.png when absent; - is standard output.")
    ] = None,
) -> None:
    """Take a picture of a VM's display, as PNG."""
    machine = find_vm(session.open_prefix(), vm)
    if file == "-":
        check_not_terminal("a picture")
        sys.stdout.buffer.write(machine.screenshot().data)
        sys.stdout.buffer.flush()
        return
    shot = machine.screenshot(Path(file or f"{machine.name}.png"))
    session.say(f"{shot.path}: {shot.width} x {shot.height} pixels")


@verb(
    app,
    "lagoctl display web",
    "lagoctl display web --view",
    "lagoctl display web --port 5901",
    "lagoctl display web -f json",
)
def display(
    session: Session,
    vm: VMName,
    *,
    port: LocalPort = 0,
    view: Annotated[
        bool, typer.Option("--view", help="Show it in a window of remote-viewer.")
    ] = False,
) -> None:
    """Tell how to sit at a VM's display by VNC or SPICE, or do it.

    The init file asks for it: graphics: vnc. On a private host a port of this machine's loopback
    leads to it until you press Control-C.
    """
    machine = find_vm(session.open_prefix(), vm)
    if view:
        machine.view()
        return
    with machine.open_display(local_port=port) as graphics, suppress(KeyboardInterrupt):
        data: dict[str, str | int] = {
            "kind": graphics.kind.value,
            "host": graphics.host,
            "port": graphics.port,
            "password": graphics.password,
        }
        if session.format == "json":
            typer.echo(json.dumps(data))  # one line, for programs that read while we go on
        else:
            session.write(data, f"{graphics.url}\npassword: {graphics.password}")
        sys.stdout.flush()
        if graphics.is_forwarded:
            session.say("Control-C ends it")
            threading.Event().wait()


@verb(app, "lagoctl forward web 80", "lagoctl forward web 80 --port 8080")
def forward(
    session: Session,
    vm: VMName,
    target: Annotated[
        int, typer.Argument(metavar="PORT", min=1, max=65535, help="TCP port of the guest.")
    ],
    *,
    port: LocalPort = 0,
) -> None:
    """Let a port of this machine lead to a port of a guest.

    It is a TCP port of the loopback, and leads there until Control-C.
    """
    machine = find_vm(session.open_prefix(), vm)
    with machine.forward(target, port) as address, suppress(KeyboardInterrupt):
        typer.echo(str(address))
        sys.stdout.flush()
        session.say(f"{address} leads to port {target} of {machine.name}; Control-C ends it")
        threading.Event().wait()


def check_not_terminal(what: str) -> None:
    """Return when standard output goes where bytes may go.

    Raises:
        LagoError: It is a terminal.
    """
    if sys.stdout.isatty():
        from lago_sdk import LagoError

        raise LagoError(f"{what} is nothing for a terminal", hint="name a file, or use a pipe")
