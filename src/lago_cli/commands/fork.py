"""The verb that makes running copies of a prefix."""

import time
from typing import Annotated

import typer

from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

app = new_family()


@verb(app, "lagoctl fork worker", "lagoctl fork worker --count 4 --snapshot clean")
def fork(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    *,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, help="Make so many, called NAME-1, NAME-2 and so on."),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", help="Go on from this snapshot; from now when absent."),
    ] = None,
) -> None:
    """Make running copies of the lab, each a prefix of its own.

    Each is in the same workdir, on a private host of its own: with the same VMs, addresses and
    names, and what was in their memory and on their disks.
    """
    prefix = session.open_prefix()
    names = [name] if count is None else [f"{name}-{number}" for number in range(1, count + 1)]
    begin = time.monotonic()
    prefix.fork_many(names, snapshot)
    seconds = time.monotonic() - begin
    session.say(f"forked {prefix.name} as {', '.join(names)} in {seconds:.2f} s")
    session.say(f"use one: lagoctl -P {names[0]} status")
