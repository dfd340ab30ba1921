"""The verb that waits for something of a VM."""

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import VMState, WaitFor

app = new_family()


class Condition(enum.StrEnum):
    """What can be waited for."""

    SSH = "ssh"
    PORT = "port"
    UNIT = "unit"
    FILE = "file"
    LOG = "log"
    COMMAND = "command"
    AGENT = "agent"
    CLOUD_INIT = "cloud-init"
    CONSOLE = "console"
    STATE = "state"


_WORDS: Mapping[Condition, tuple[str, ...]] = {
    Condition.SSH: (),
    Condition.PORT: ("NUMBER",),
    Condition.UNIT: ("NAME",),
    Condition.FILE: ("PATH",),
    Condition.LOG: ("PATH", "PATTERN"),
    Condition.COMMAND: ("COMMAND",),
    Condition.AGENT: (),
    Condition.CLOUD_INIT: (),
    Condition.CONSOLE: ("PATTERN",),
    Condition.STATE: ("STATE",),
}
"""The words that follow each condition."""


@verb(
    app,
    "lagoctl wait web ssh",
    "lagoctl wait web port 80 --timeout 30",
    "lagoctl wait web unit nginx",
    "lagoctl wait web log /var/log/syslog 'ready in [0-9]+ ms'",
    "lagoctl wait web console 'login:'",
    "lagoctl wait web state 'shut off'",
)
def wait(
    session: Session,
    vm: Annotated[str, typer.Argument(metavar="VM", help="The VM.")],
    condition: Annotated[
        Condition, typer.Argument(metavar="CONDITION", help=", ".join(Condition) + ".")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS...",
            help="port: NUMBER; unit: NAME; file: PATH; log: PATH PATTERN; command: COMMAND; "
            "console: PATTERN; state: STATE. Patterns are regular expressions.",
        ),
    ] = None,
    *,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long at most; 60 as a rule.")
    ] = None,
) -> None:
    """Wait until something of a VM has happened.

    The line of a log or console that was waited for, and the output of a command, go to
    standard output.
    """
    given = tuple(words or ())
    wanted = _WORDS[condition]
    if len(given) != len(wanted):
        from lago_sdk import LagoError

        form = " ".join(["lagoctl wait VM", condition, *wanted])
        raise LagoError(f"{condition} is followed by {' '.join(wanted) or 'nothing'}", hint=form)
    waits = find_vm(session.open_prefix(), vm).wait_for
    options = {} if timeout is None else {"timeout": timeout}
    found = _get_wait(waits, condition)(*given, **options)
    if isinstance(found, str):
        typer.echo(found)
    else:
        session.say(f"{' '.join([condition, *given])}: after {found:.1f} s")


def _get_wait(waits: "WaitFor", condition: Condition) -> Callable[..., str | float]:
    """Return the wait for *condition*; it takes the words that follow it."""
    own: dict[Condition, Callable[..., str | float]] = {
        Condition.SSH: waits.ssh,
        Condition.PORT: lambda number, **options: waits.port(_parse_port(number), **options),
        Condition.UNIT: waits.unit,
        Condition.FILE: waits.file,
        Condition.LOG: waits.log,
        Condition.COMMAND: lambda line, **options: waits.command(line, **options).out.rstrip(),
        Condition.AGENT: waits.agent,
        Condition.CLOUD_INIT: waits.cloud_init,
        Condition.CONSOLE: waits.console,
        Condition.STATE: lambda state, **options: waits.state(_parse_state(state), **options),
    }
    return own[condition]


def _parse_port(text: str) -> int:
    from lago_sdk import LagoError

    if text.isdecimal() and 0 < int(text) < 1 << 16:
        return int(text)
    raise LagoError(f"{text!r} is no TCP port", hint="a port is a number from 1 to 65535")


def _parse_state(text: str) -> "VMState":
    from lago_sdk import LagoError, VMState

    try:
        return VMState(text)
    except ValueError:
        known = ", ".join(repr(state.value) for state in VMState)
        raise LagoError(f"{text!r} is no state of a VM", hint=f"there are: {known}") from None
