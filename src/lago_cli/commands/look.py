"""Verbs that look at prefixes, and choose one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.session import Session
from lago_cli.tables import list_remedies, status_data, status_tables
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_cli.output import Data

app = new_family()

_OLD_KINDS = frozenset({"envs", "prefixes"})
"""What Lago's first versions wanted to be told; prefixes are what is listed anyway."""


@verb(app, "lagoctl status", "lagoctl status -f json", "lagoctl -P nightly status -f flat")
def status(session: Session) -> None:
    """Show the VMs and nets: their state and addresses."""
    from lago_sdk import Note

    found = session.open_prefix().status()
    session.write(status_data(found), status_tables(found), lago_wrote_it=True)
    for line in list_remedies(found):
        session.observer(Note(message=line, warning=True))


@verb(app, "lagoctl list", "lagoctl list /var/tmp/lab -f json", name="list")
def list_prefixes(
    session: Session,
    workdir: Annotated[
        Path | None, typer.Argument(metavar="WORKDIR", help="Found as for other verbs if absent.")
    ] = None,
) -> None:
    """List the prefixes of the workdir.

    On a terminal the current one is marked.
    """
    from lago_sdk import Workdir

    named = None if str(workdir) in _OLD_KINDS else workdir
    place = session.find_workdir() if named is None else Workdir.open(named)
    names: Data = list(place.prefixes)
    current = place.current
    marked = [f"{'*' if name == current else ' '} {name}" for name in place.prefixes]
    session.write(names, "\n".join(marked), lago_wrote_it=True)


@verb(app, "lagoctl set-current nightly")
def set_current(
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="The prefix.")]
) -> None:
    """Make a prefix the one that verbs work on."""
    session.find_workdir().set_current(name)
    session.say(f"{name} is current")
