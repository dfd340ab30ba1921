"""The verb that runs commands in a guest."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import VM, CommandResult, Prefix

app = new_family()


@verb(
    app,
    "lagoctl shell web",
    "lagoctl shell web systemctl is-active nginx",
    "lagoctl shell web -c 'cd /etc && ls'",
    "lagoctl shell web setup.sh",
    "lagoctl shell -i web 'cat > /tmp/data' < data",
    "lagoctl shell --via console web ip addr",
    takes_words=True,
)
def shell(
    session: Session,
    vm: Annotated[
        str, typer.Argument(metavar="VM", help="The VM, or the end of its name if that is unique.")
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND...",
            help="What to run; a single word that is a file here is run as a script. "
            "A login shell when absent.",
        ),
    ] = None,
    *,
    stdin: Annotated[
        bool, typer.Option("--stdin", "-i", help="Let the command read our standard input.")
    ] = False,
    via: Annotated[
        str | None,
        typer.Option(
            "--via",
            metavar="ROAD",
            help="ssh, agent (QEMU guest agent), console (serial), or auto: the first of them "
            "that is open. ssh when absent.",
        ),
    ] = None,
) -> None:
    """Open a shell in a guest, or run a command or script there.

    Exits with its exit code.
    """
    machine = find_vm(session.open_prefix(), vm)
    words = command or []
    if words and words[0] == "--":
        words = words[1:]
    if via not in {None, "ssh"}:
        raise typer.Exit(_run_via(machine, via or "auto", words, stdin=stdin))
    if words and words[0] == "-c":
        words = words[1:]
    elif len(words) == 1 and Path(words[0]).is_file():
        raise typer.Exit(machine.ssh_script(words[0], on_output=_pass_on, capture=False).code)
    if not words and not sys.stdin.isatty():
        raise typer.Exit(machine.ssh_script("/dev/stdin", on_output=_pass_on, capture=False).code)
    # Words are joined as ssh(1) does: the guest's shell reads them once more.
    line = " ".join(words) or None
    if line is None or (sys.stdin.isatty() and sys.stdout.isatty() and not stdin):
        raise typer.Exit(machine.interactive_ssh(line))
    data = sys.stdin.buffer if stdin else None
    raise typer.Exit(machine.ssh(line, input=data, on_output=_pass_on, capture=False).code)


def _run_via(machine: "VM", via: str, words: list[str], *, stdin: bool) -> int:
    """Run a command by another road than ssh, or open a shell there; returns its exit code."""
    line = " ".join(words[1:] if words[:1] == ["-c"] else words)
    if line:
        data = sys.stdin.buffer.read() if stdin else None
        return _write(machine.run(line, via=via, input=data))
    if not sys.stdin.isatty():
        return _write(machine.run(["sh", "-s"], via=via, input=sys.stdin.buffer.read()))
    if via == "agent":
        from lago_sdk import LagoError

        raise LagoError("the guest agent offers no terminal", hint="name a command, or use console")
    road = machine.run("true", via="auto").via if via == "auto" else None
    if road is not None and road.value == "ssh":
        return machine.interactive_ssh()
    return machine.interactive_console()


def find_vm(prefix: "Prefix", name: str) -> "VM":
    """Return the VM called *name*, else the only one whose name ends so.

    Raises:
        VMNotFoundError: There is none, or several names end so.
    """
    from lago_sdk import VMNotFoundError

    endings = [known for known in prefix.vms if known.endswith(name)]
    if name in prefix.vms or len(endings) != 1:
        if name not in prefix.vms and endings:
            message = f"the names of several VMs end in {name!r}"
            raise VMNotFoundError(name, message, hint=f"there are: {', '.join(endings)}")
        return prefix.vms[name]
    return prefix.vms[endings[0]]


def _pass_on(stream: str, data: bytes) -> None:
    """Write what a command wrote, byte for byte, as it comes."""
    file = (sys.stdout if stream == "out" else sys.stderr).buffer
    file.write(data)
    file.flush()


def _write(result: "CommandResult") -> int:
    """Pass on what a command wrote; returns its exit code."""
    sys.stdout.write(result.out)
    sys.stdout.flush()
    sys.stderr.write(result.err)
    return result.code
