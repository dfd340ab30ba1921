"""Verbs that start, stop and remove what was made."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

app = new_family()

_VMs = Annotated[
    list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
]


@verb(app, "lagoctl start", "lagoctl start web db")
def start(session: Session, vms: _VMs = None) -> None:
    """Start VMs, with their nets, and wait until ssh answers."""
    report = session.open_prefix().start(vms)
    if report.started:
        session.say(f"started {_join(report.started)} in {report.seconds:.1f} s")
    else:
        session.say(f"nothing to do: running already: {_join(report.already_running)}")


@verb(app, "lagoctl stop", "lagoctl stop web")
def stop(session: Session, vms: _VMs = None) -> None:
    """Power off VMs at once.

    Nets that nothing uses any more are stopped too.
    """
    _tell_stopped(session, session.open_prefix().stop(vms))


@verb(app, "lagoctl shutdown", "lagoctl shutdown web db")
def shutdown(session: Session, vms: _VMs = None) -> None:
    """Ask guests to power off, and wait until they have."""
    _tell_stopped(session, session.open_prefix().shutdown(vms))


@verb(app, "lagoctl cleanup")
def cleanup(session: Session) -> None:
    """Stop everything of the prefix and keep its files.

    This is Lago's name for ``lagoctl stop`` without arguments.
    """
    _tell_stopped(session, session.open_prefix().stop())


@verb(app, "lagoctl destroy", "lagoctl destroy --yes --all-prefixes")
def destroy(
    session: Session,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    all_prefixes: Annotated[
        bool, typer.Option("--all-prefixes", help="Every prefix, and the workdir itself.")
    ] = False,
) -> None:
    """Remove the prefix for good: VMs, nets, leases and files."""
    if all_prefixes:
        workdir = session.find_workdir()
        _confirm(f"every prefix of {workdir.path} ({_join(workdir.prefixes)})", yes=yes)
        names = workdir.destroy(config=session.config, observer=session.observer)
        session.say(f"destroyed {_join(names)}")
        return
    prefix = session.open_prefix()
    _confirm(f"the prefix {prefix.name!r} in {prefix.path.parent}", yes=yes)
    prefix.destroy()
    session.say(f"destroyed {prefix.name}")


def _confirm(what: str, *, yes: bool) -> None:
    """Ask before something is lost.

    Raises:
        LagoError: There is nobody to ask.
        typer.Exit: The user does not want to.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        from lago_sdk import LagoError

        message = f"there is no terminal to ask on whether to destroy {what}"
        raise LagoError(message, hint="add --yes")
    if not typer.confirm(f"Destroy {what}?", err=True):
        raise typer.Exit(1)


def _tell_stopped(session: Session, names: Sequence[str]) -> None:
    if names:
        session.say(f"stopped {_join(names)}")
    else:
        session.say("nothing to do: none of them is running")


def _join(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
