"""Verbs that bring guests into shape: deploy scripts, and services."""

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import DeployReport

app = new_family()


class Action(enum.StrEnum):
    """What is asked of a service."""

    STATE = "state"
    START = "start"
    STOP = "stop"
    RESTART = "restart"


@verb(app, "lagoctl deploy", "lagoctl deploy web --timeout 600")
def deploy(
    session: Session,
    vms: Annotated[
        list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
    ] = None,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="How long each script may take; no limit when absent."
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Run also the scripts that ran when their VMs came up."),
    ] = False,
) -> None:
    """Run the deploy scripts of VMs in their guests.

    VMs are deployed at the same time, the scripts of each in their order. What they write is
    shown as it comes, and kept in the logs of the prefix. The first script that fails ends the
    deployment of its VM.
    """
    report = session.open_prefix().deploy(vms, timeout=timeout, again=again)
    tell_skipped(session, report)
    if not report.runs and not report.skipped:
        session.say("nothing to do: no VM has deploy scripts")
    for vm, runs in report.runs.items():
        scripts = "1 script" if len(runs) == 1 else f"{len(runs)} scripts"
        seconds = sum(run.seconds for run in runs)
        session.say(f"{vm}: {scripts} in {seconds:.1f} s, log: {report.logs[vm]}")


def tell_skipped(session: Session, report: "DeployReport") -> None:
    """Say which VMs were deployed to when they came up."""
    if report.skipped:
        names = ", ".join(report.skipped)
        session.say(f"nothing to do: {names}: the scripts ran when the lab came up; see --again")


@verb(
    app,
    "lagoctl service web nginx",
    "lagoctl service web nginx restart",
    "lagoctl service db mydb/postgresql state",
)
def service(
    session: Session,
    vm: Annotated[str, typer.Argument(metavar="VM", help="The VM.")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="A unit, an init script, CONTAINER or CONTAINER/UNIT."
        ),
    ],
    action: Annotated[
        Action, typer.Argument(metavar="ACTION", help="state, start, stop or restart.")
    ] = Action.STATE,
) -> None:
    """Show, start, stop or restart a service in a guest.

    The state is active, inactive or missing.
    """
    found = find_vm(session.open_prefix(), vm).service(name)
    if action is Action.STATE:
        state = found.state.value
        session.write({"service": name, "state": state}, state)
    elif action is Action.RESTART:
        found.restart()
        session.say(f"restarted {name}")
    elif found.start() if action is Action.START else found.stop():
        session.say(f"{'started' if action is Action.START else 'stopped'} {name}")
    else:
        session.say(f"nothing to do: {name} is {found.state.value}")
