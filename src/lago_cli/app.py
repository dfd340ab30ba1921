"""The program lagoctl: its global options, and its verbs, each imported when it is used."""

import inspect
import os
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lago_cli.failures import install_signal_handlers
from lago_cli.options import PARAMETERS, Options, set_parameters
from lago_cli.plugins import find_verb, list_verbs

_FAMILIES = {
    "create": {
        "init": "Make a prefix from an init file; nothing runs yet.",
        "up": "Bring up the lab of an init file: init, start and wait.",
    },
    "lifecycle": {
        "start": "Start VMs, with their nets, and wait until ssh answers.",
        "stop": "Power off VMs at once.",
        "shutdown": "Ask guests to power off, and wait until they have.",
        "reboot": "Reboot VMs, and wait until ssh answers again.",
        "suspend": "Pause VMs: their memory stays, their processors stand still.",
        "resume": "Let paused VMs run on, whoever paused them.",
        "net": "Show, start or stop a single net.",
        "cleanup": "Stop everything of the prefix and keep its files.",
        "destroy": "Remove the prefix for good: VMs, nets, leases and files.",
    },
    "snapshots": {
        "snapshot": "Keep the state of VMs under a name, to go back to.",
        "revert": "Go back to a snapshot: memory and disks are those of then.",
    },
    "fork": {"fork": "Make running copies of the lab, each a prefix of its own."},
    "export": {
        "export": "Write the lab into a directory, to make it again elsewhere.",
        "import": "Make a prefix of what was exported; nothing runs yet.",
    },
    "look": {
        "status": "Show the VMs and nets: their state and addresses.",
        "list": "List the prefixes of the workdir.",
        "set-current": "Make a prefix the one that verbs work on.",
    },
    "shell": {"shell": "Open a shell in a guest, or run a command or script there."},
    "copy": {
        "copy-to-vm": "Copy files and directories to a guest.",
        "copy-from-vm": "Copy files and directories from a guest.",
    },
    "console": {"console": "Sit at the serial console of a VM, or print its log."},
    "see": {
        "screenshot": "Take a picture of a VM's display, as PNG.",
        "display": "Tell how to sit at a VM's display by VNC or SPICE, or do it.",
        "forward": "Let a port of this machine lead to a port of a guest.",
    },
    "top": {"top": "Show how much VMs do: processor, memory, disks and nics."},
    "capture": {"capture": "Capture the packets of a net, or of a nic of a VM."},
    "tools": {
        "ssh-config": "Print how ssh, scp, rsync and editors log in to the VMs.",
        "ansible-hosts": "Print the VMs as an Ansible inventory.",
    },
    "deploy": {
        "deploy": "Run the deploy scripts of VMs in their guests.",
        "service": "Show, start, stop or restart a service in a guest.",
    },
    "collect": {"collect": "Fetch the artifacts of VMs, whether they run or not."},
    "hot": {
        "attach-disk": "Plug a disk into a VM, also while it runs.",
        "detach-disk": "Take a disk out of a VM, also while it runs.",
        "attach-nic": "Plug a nic into a VM, also while it runs.",
        "detach-nic": "Take a nic out of a VM, also while it runs.",
        "link": "Pull the cable of a nic, or plug it in.",
        "set-vcpus": "Give a VM more or fewer virtual CPUs, also while it runs.",
        "set-memory": "Give a VM more or less memory, also while it runs.",
    },
    "wait": {"wait": "Wait until something of a VM has happened."},
    "check": {
        "validate": "Check init files and print every problem, as compilers do.",
        "plan": "Show what a lab would be, without making anything.",
    },
    "cache": {"cache": "See and clear the cache that labs come up from."},
    "template": {"template": "Get, build and manage templates, the images VMs start from."},
    "machine": {
        "doctor": "Look whether this machine can run VMs.",
        "generate-config": "Print every setting, its value and meaning, as a file.",
        "completion": "Print the script by which a shell completes our words.",
    },
}
"""Verbs and their summaries, by the module of ``lago_cli.commands`` that they live in."""

_HOMES = {verb: module for module, verbs in _FAMILIES.items() for verb in verbs}
VERBS = tuple(_HOMES)
"""The verbs that come with the program."""


class _LazyGroup(TyperGroup):
    """A group that imports a verb's module when the verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is typer's
        return [*_HOMES, *list_verbs(_HOMES)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the verbs without importing them; building them all would double the time."""
        with formatter.section("Verbs"):
            formatter.write_dl([row for verbs in _FAMILIES.values() for row in verbs.items()])
        added = list_verbs(_HOMES)
        if added:
            with formatter.section("Verbs of plugins"):
                formatter.write_dl([(name, f"See lagoctl {name} --help.") for name in added])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = _HOMES.get(cmd_name)
        added = None if module is not None else find_verb(cmd_name)
        if added is not None:
            return added
        if module is None:
            # Typer suggests from what the group holds.
            known = self.list_commands(ctx)
            self.commands = {verb: typer.core.TyperCommand(verb) for verb in known}
            return None
        return _load_family(module)[cmd_name]


@cache
def _load_family(module: str) -> Mapping[str, Any]:
    """The verbs of a module, by name."""
    family: Any = typer.main.get_command(import_module(f"lago_cli.commands.{module}").app)
    return family.commands if isinstance(family, TyperGroup) else {family.name: family}


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lagoctl {version('lago_sdk')}")
        raise typer.Exit


def _root(context: typer.Context, *, version: bool = False, **values: Any) -> None:  # noqa: ARG001
    """Bring up a lab of virtual machines from one init file, and drive it.

    The options below may stand before a verb or after it. Data goes to standard output,
    everything else to standard error.
    """
    context.obj = Options(**values)


_CONTEXT = inspect.Parameter(
    "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)
_VERSION = inspect.Parameter(
    "version",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ],
)
set_parameters(_root, [_CONTEXT, *PARAMETERS, _VERSION])
_EXAMPLES = """\b
Examples:
  lagoctl up examples/two-vms/LagoInitFile
  lagoctl status
  lagoctl shell web uname -a
  lagoctl destroy --yes"""


def build_app(*, completes: bool = False) -> typer.Typer:
    """Return the program.

    Args:
        completes: Be ready for a shell that asks how a word could go on.
    """
    program = typer.Typer(
        name="lagoctl",
        cls=_LazyGroup,
        add_completion=completes,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        subcommand_metavar="VERB [ARGS]...",
    )
    program.callback(epilog=_EXAMPLES)(_root)
    return program


def main() -> None:
    """Run the program; the entry point of ``lagoctl``."""
    install_signal_handlers()
    build_app(completes="_LAGOCTL_COMPLETE" in os.environ)(prog_name="lagoctl")
