"""The verb for the serial console of a VM."""

import sys
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk import Console

app = new_family()


@verb(
    app,
    "lagoctl console web",
    "lagoctl console web --log --lines 50",
    "lagoctl console web --log --follow",
    "lagoctl console --force web",
)
def console(
    session: Session,
    vm: Annotated[
        str, typer.Argument(metavar="VM", help="The VM, or the end of its name if that is unique.")
    ],
    *,
    log: Annotated[
        bool, typer.Option("--log", help="Print what the guest has written there.")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="With --log: go on as it writes, until the VM goes off."),
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", metavar="N", min=0, help="With --log: the last N lines only."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take it from whoever is there.")] = False,
) -> None:
    """Sit at the serial console of a VM, or print its log.

    ^] (Control and ]) leaves the console; what runs there runs on.
    """
    machine = find_vm(session.open_prefix(), vm)
    if log or follow or lines is not None:
        _print_log(machine.console, follow=follow, lines=lines)
        return
    if sys.stdin.isatty():
        session.say(f"the console of {machine.name}; ^] leaves it")
    raise typer.Exit(machine.interactive_console(force=force))


def _print_log(console: "Console", *, follow: bool, lines: int | None) -> None:
    news = console.follow() if follow else None
    for line in deque(_read_lines(console), maxlen=lines):
        typer.echo(line)
    for line in news or ():
        typer.echo(line)
        sys.stdout.flush()


def _read_lines(console: "Console") -> "Iterator[str]":
    """What the log holds now; a VM that never ran has none."""
    if not console.log.exists():
        return
    with console.log.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            yield line.rstrip("\r\n")
