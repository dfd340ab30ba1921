"""Verbs about this machine: can it run VMs, its settings, its shell."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.failures import MISTAKE
from lago_cli.output import Data, paint
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import PluginInfo

app = new_family()


@verb(app, "lagoctl doctor", "lagoctl doctor -f json", "lagoctl doctor --host system")
def doctor(session: Session) -> None:
    """Look whether this machine can run VMs.

    Says what to install or allow where something is missing.

    Plugins that are installed are listed, too.

    Exits with 2 when something is in the way.
    """
    from lago_sdk import diagnose

    found = diagnose(config=session.config)
    lines = []
    for item in found:
        lines.append(f"{_mark(is_ok=item.ok)} {item.name}: {item.message}")
        if item.hint:
            lines.append(f"    hint: {item.hint}")
    data: list[Data] = [
        {"name": item.name, "ok": item.ok, "message": item.message, "hint": item.hint}
        for item in found
    ]
    for plugin in _list_plugins():
        is_ok, what = not plugin.problem, f"{plugin.kind.words} of {plugin.package}"
        message = what if is_ok else f"{what}: {plugin.problem}"
        lines.append(f"{_mark(is_ok=is_ok)} plugin {plugin.name}: {message}")
        data.append(
            {"name": f"plugin {plugin.name}", "ok": is_ok, "message": message, "hint": None}
        )
    session.write(data, "\n".join(lines))
    if not all(item.ok for item in found):
        raise typer.Exit(MISTAKE)


def _list_plugins() -> "tuple[PluginInfo, ...]":
    """Return what is installed; what does not work is not in the way of running VMs."""
    from lago_cli.app import VERBS
    from lago_cli.plugins import make_verb
    from lago_sdk import has_plugins, list_plugins

    if not has_plugins():
        return ()
    return list_plugins(verbs=VERBS, accept_verb=lambda value: make_verb(value, "verb"))


@verb(app, "lagoctl generate-config > ~/.config/lago/lago.conf")
def generate_config(session: Session) -> None:
    """Print every setting, its value and meaning, as a file."""
    typer.echo(session.config.render_ini(), nl=False)


@verb(app, 'eval "$(lagoctl completion bash)"', "lagoctl completion fish | source")
def completion(
    session: Session,  # noqa: ARG001 - every verb has one
    shell: Annotated[
        str | None,
        typer.Argument(metavar="bash|zsh|fish", help="The shell; told by $SHELL when absent."),
    ] = None,
) -> None:
    """Print the script by which a shell completes our words."""
    name = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119 - just a name
    if name not in {"bash", "zsh", "fish"}:
        from lago_sdk import LagoError

        message = f"no completion for the shell {name!r}" if name else "which shell is it for?"
        raise LagoError(message, hint="name bash, zsh or fish")
    typer.echo(_SCRIPTS[name], nl=False)


def _mark(*, is_ok: bool) -> str:
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    good, bad = ("✓", "✗") if is_unicode else ("+", "x")
    return paint(good if is_ok else bad, "green" if is_ok else "red", stream=sys.stdout)


_SCRIPTS = {
    "bash": """\
_lagoctl_complete() {
    local IFS=$'\\n'
    COMPREPLY=( $(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _LAGOCTL_COMPLETE=complete_bash "$1") )
}
complete -o default -F _lagoctl_complete lagoctl
""",
    "zsh": """\
#compdef lagoctl
_lagoctl_complete() {
    eval "$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _LAGOCTL_COMPLETE=complete_zsh lagoctl)"
}
compdef _lagoctl_complete lagoctl
""",
    "fish": """\
complete --command lagoctl --no-files --condition \
"env _LAGOCTL_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=is-args \
_TYPER_COMPLETE_ARGS=(commandline -cp) lagoctl" --arguments \
"(env _LAGOCTL_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
_TYPER_COMPLETE_ARGS=(commandline -cp) lagoctl)"
""",
}
"""The environment is typer's protocol between a shell and a program."""
