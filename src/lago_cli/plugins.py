"""What plugins add to the command line: verbs and formats."""

import inspect
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from lago_cli.options import Options
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import InstalledPlugins


@cache
def _open() -> "InstalledPlugins":
    from lago_cli.progress import ProgressLines
    from lago_sdk import open_plugins

    return open_plugins(observer=ProgressLines())


def list_verbs(taken: Collection[str]) -> tuple[str, ...]:
    """Return the verbs of plugins; of those that are *taken* the user is told."""
    from lago_sdk import has_plugins

    # Nearly nobody has any, and to find that out must not make the help slower.
    if not has_plugins():
        return ()
    from lago_sdk import PluginKind

    return _open().list_names(PluginKind.COMMAND, taken=taken)


def find_verb(name: str) -> Any:
    """Return the command that a plugin's verb is, or ``None`` where there is none that works."""
    from lago_sdk import has_plugins

    if not has_plugins():
        return None
    from lago_sdk import PluginKind

    return _open().find(PluginKind.COMMAND, name, lambda value: make_verb(value, name))


def make_verb(value: object, name: str) -> Any:
    """Return the command for what a plugin gives.

    A function is given a `Session` first, as our own verbs are; a typer app is taken as it is.

    Raises:
        TypeError: It is neither a function nor a typer app.
    """
    if isinstance(value, typer.Typer):
        command: Any = typer.main.get_command(value)
        command.name = name
        return _guard(command, name)
    if not inspect.isfunction(value):
        raise TypeError(f"{value!r} is neither a function nor a typer app")
    if not inspect.signature(value).parameters:
        raise TypeError(f"{value!r} takes no session, which is its first argument")
    family = new_family()
    verb(family, f"lagoctl {name}", name=name)(value)
    return typer.main.get_command(family)


def _guard(command: Any, name: str) -> Any:
    """Have errors of a typer app end as those of our verbs do."""
    invoke = command.invoke

    def guarded(context: Any) -> Any:
        before = context.find_object(Options) or Options()
        with Session(before, verb=name):
            return invoke(context)

    command.invoke = guarded
    return command
