"""The verb that shows how much VMs do."""

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.keys import Keys
from lago_cli.output import render_table
from lago_cli.session import Session
from lago_cli.units import format_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_cli.output import Data
    from lago_sdk import Prefix, VMLoad

app = new_family()

_HEAD = (
    "VM",
    "STATE",
    "CPU %",
    "VCPU",
    "MEMORY",
    "RESIDENT",
    "DISK READ/S",
    "DISK WRITE/S",
    "NET IN/S",
    "NET OUT/S",
)
_QUIT = frozenset("qQ\x03\x04")


@verb(
    app,
    "lagoctl top",
    "lagoctl top web db --interval 5",
    "lagoctl top -n 1",
    "lagoctl top -f json | jq .vms.web.cpu_percent",
)
def top(
    session: Session,
    vms: Annotated[
        list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
    ] = None,
    *,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", metavar="N", min=1, help="End after N looks."),
    ] = None,
) -> None:
    """Show how much VMs do: processor, memory, disks and nics.

    On a terminal it is written in place, and q ends it. 100 % is one processor of the host.
    JSON is one line for each look.
    """
    in_place = session.format is None and sys.stdout.isatty()
    written = 0
    with suppress(KeyboardInterrupt), Keys() as keys:
        for number, loads in enumerate(_look(session.open_prefix(), vms, keys, interval), start=1):
            table = render_table("", _HEAD, [_list_cells(load) for load in loads])
            if in_place and written:
                sys.stdout.write(f"\x1b[{written}F\x1b[J")  # to where it began, and clear
            elif written and session.format is None:
                typer.echo()
            _write(session, loads, table)
            sys.stdout.flush()
            written = table.count("\n") + 1
            if number == count:
                return


def _look(
    prefix: "Prefix", vms: list[str] | None, keys: Keys, interval: float
) -> "Iterator[Sequence[VMLoad]]":
    """What VMs do, until somebody presses q."""
    watch = prefix.watch_usage(interval, vms, wait=lambda seconds: _wait(keys, seconds))
    with suppress(EOFError):
        yield from watch


def _wait(keys: Keys, seconds: float) -> None:
    if keys.wait(seconds) in _QUIT:
        raise EOFError


def _write(session: Session, loads: "Sequence[VMLoad]", table: str) -> None:
    data: Data = {"vms": {load.usage.name: _as_data(load) for load in loads}}
    if session.format == "json":
        typer.echo(json.dumps(data))  # a line, for programs that read while we go on
    else:
        session.write(data, table)


def _list_cells(load: "VMLoad") -> tuple[str | None, ...]:
    usage = load.usage
    is_on = usage.state.is_active
    rates = (load.disk_read_rate, load.disk_write_rate, load.net_receive_rate, load.net_send_rate)
    return (
        usage.name,
        usage.state.value,
        None if load.cpu_percent is None else f"{load.cpu_percent:.1f}",
        str(usage.vcpus) if is_on else None,
        format_size(usage.memory) if is_on else None,
        format_size(usage.resident) if is_on else None,
        *(None if rate is None else format_size(rate) for rate in rates),
    )


def _as_data(load: "VMLoad") -> "Data":
    usage = load.usage
    return {
        "state": usage.state.value,
        "cpu_percent": load.cpu_percent,
        "cpu_seconds": usage.cpu_seconds,
        "vcpus": usage.vcpus,
        "memory": usage.memory,
        "resident": usage.resident,
        "disk_read": usage.disk_read,
        "disk_written": usage.disk_written,
        "disk_read_rate": load.disk_read_rate,
        "disk_write_rate": load.disk_write_rate,
        "net_received": usage.net_received,
        "net_sent": usage.net_sent,
        "net_receive_rate": load.net_receive_rate,
        "net_send_rate": load.net_send_rate,
    }
