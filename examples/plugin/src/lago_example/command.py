"""A command: `lagoctl uptimes [VM...]`."""

from typing import Annotated, Any

import typer


def uptimes(
    session: Any,
    vms: Annotated[list[str] | None, typer.Argument(metavar="VM...", help="All if absent.")] = None,
) -> None:
    """Show how long guests have been up."""
    prefix = session.open_prefix()
    found = {
        name: float(prefix.vms[name].ssh("cat /proc/uptime").check().out.split()[0])
        for name in vms or prefix.vms
    }
    lines = [f"{name}: {seconds:.0f} s" for name, seconds in found.items()]
    session.write(found, "\n".join(lines))
