"""Verbs that start, stop and remove what was made."""

import enum
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import StartReport

app = new_family()

_VMs = Annotated[
    list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
]


_Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long guests may take to power off; the setting shutdown_timeout when absent.",
    ),
]
_Force = Annotated[
    bool, typer.Option("--force", help="Press the reset button instead of asking the guest.")
]
_NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until ssh answers.")]


@verb(app, "lagoctl start", "lagoctl start web db", "lagoctl start --no-wait")
def start(session: Session, vms: _VMs = None, *, no_wait: _NoWait = False) -> None:
    """Start VMs, with their nets, and wait until ssh answers.

    VMs that are paused are left so: resume lets them run on.
    """
    report = session.open_prefix().start(vms, wait=not no_wait)
    if report.started:
        session.say(f"started {_join(report.started)} in {report.seconds:.1f} s")
        tell_checkpoint(session, report)
    elif report.already_running:
        session.say(f"nothing to do: running already: {_join(report.already_running)}")
    elif not report.changed:
        session.say("nothing was started")


def tell_checkpoint(session: Session, report: "StartReport") -> None:
    """Say what a start had to do with the cache, where it had to."""
    from lago_cli.tables import describe_checkpoint

    if told := describe_checkpoint(report.checkpoint):
        session.say(told)


@verb(app, "lagoctl stop", "lagoctl stop web")
def stop(session: Session, vms: _VMs = None) -> None:
    """Power off VMs at once.

    Nets that nothing uses any more are stopped too.
    """
    _tell("stopped", session.open_prefix().stop(vms), session)


@verb(
    app,
    "lagoctl shutdown",
    "lagoctl shutdown web db",
    "lagoctl shutdown --timeout 30 web",
    "lagoctl shutdown --reboot",
)
def shutdown(
    session: Session,
    vms: _VMs = None,
    *,
    reboot: Annotated[
        bool, typer.Option("--reboot", "-r", help="Have them start again: as the verb reboot.")
    ] = False,
    timeout: _Timeout = None,
) -> None:
    """Ask guests to power off, and wait until they have."""
    done = session.open_prefix().shutdown(vms, reboot=reboot, timeout=timeout)
    _tell("rebooted" if reboot else "stopped", done, session)


@verb(app, "lagoctl reboot", "lagoctl reboot web db", "lagoctl reboot --force web")
def reboot(
    session: Session,
    vms: _VMs = None,
    *,
    force: _Force = False,
    no_wait: _NoWait = False,
    timeout: _Timeout = None,
) -> None:
    """Reboot VMs, and wait until ssh answers again.

    Guests are asked to power off, and start again; VMs that are off stay off.
    """
    prefix = session.open_prefix()
    done = prefix.reboot(vms, timeout=timeout, wait=not no_wait, force=force)
    _tell("rebooted", done, session)


@verb(app, "lagoctl suspend", "lagoctl suspend web")
def suspend(session: Session, vms: _VMs = None) -> None:
    """Pause VMs: their memory stays, their processors stand still."""
    _tell("suspended", session.open_prefix().suspend(vms), session)


@verb(app, "lagoctl resume", "lagoctl resume web")
def resume(session: Session, vms: _VMs = None) -> None:
    """Let paused VMs run on, whoever paused them."""
    done = session.open_prefix().resume(vms)
    _tell("resumed", done, session, nothing="none of them is paused")


class NetAction(enum.StrEnum):
    """What is asked of a net."""

    STATE = "state"
    START = "start"
    STOP = "stop"


@verb(app, "lagoctl net lan", "lagoctl net lan stop")
def net(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NET", help="The net.")],
    action: Annotated[
        NetAction, typer.Argument(metavar="ACTION", help="state, start or stop.")
    ] = NetAction.STATE,
) -> None:
    """Show, start or stop a single net.

    A net that VMs use is not stopped; start and stop of VMs look after their nets themselves.
    """
    prefix = session.open_prefix()
    if action is NetAction.STATE:
        state = prefix.nets[name].state.value
        session.write({"net": name, "state": state}, state)
        return
    is_start = action is NetAction.START
    changed = prefix.start_net(name) if is_start else prefix.stop_net(name)
    done = "started" if is_start else "stopped"
    idle = f"nothing to do: {name} is {'up' if is_start else 'down'}"
    session.say(f"{done} {name}" if changed else idle)


@verb(app, "lagoctl cleanup")
def cleanup(session: Session) -> None:
    """Stop everything of the prefix and keep its files.

    This is Lago's name for ``lagoctl stop`` without arguments.
    """
    _tell("stopped", session.open_prefix().stop(), session)


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


def _tell(
    done: str, names: Sequence[str], session: Session, *, nothing: str = "none of them is running"
) -> None:
    session.say(f"{done} {_join(names)}" if names else f"nothing to do: {nothing}")


def _join(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
