"""Turns functions into verbs: shared options, the session, and errors as exit codes."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import typer

from lago_cli.options import PARAMETERS, Options, set_parameters, without_flags
from lago_cli.session import Session

P = ParamSpec("P")


def new_family(*, no_args_is_help: bool = False) -> typer.Typer:
    """Return an app that verbs can be registered with."""
    # Plain help: importing rich would take longer than all the rest.
    return typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=no_args_is_help)


def verb(
    app: typer.Typer,
    *examples: str,
    name: str | None = None,
    section: str | None = None,
    takes_words: bool = False,
    own_flags: tuple[str, ...] = (),
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function as a verb; the function itself stays as it was.

    Args:
        app: The typer app of the family.
        examples: Command lines to show in the help.
        name: The verb; the function's name when ``None``.
        section: The section of the settings that counts; the verb when ``None``.
        takes_words: Whether words after the first argument are not options of ours.
        own_flags: Short options of a shared option that mean something else here, as they did
            in Lago; before the verb they mean what they always do.
    """

    def register(
        function: Callable[Concatenate[Session, P], None],
    ) -> Callable[Concatenate[Session, P], None]:
        called = name or function.__name__.replace("_", "-")
        settings = {"allow_interspersed_args": False, "ignore_unknown_options": True}
        app.command(
            called,
            epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples),
            context_settings=settings if takes_words else None,
        )(_with_session(function, section or called, own_flags))
        return function

    return register


def _with_session(
    function: Callable[Concatenate[Session, P], None], section: str, own_flags: tuple[str, ...]
) -> Callable[..., None]:
    """Return *function* with the shared options in place of its first parameter."""
    own = list(inspect.signature(function).parameters.values())[1:]
    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    shared = {parameter.name for parameter in PARAMETERS}

    @functools.wraps(function)
    def run(context: typer.Context, **values: Any) -> None:
        here = Options(**{key: values.pop(key) for key in shared})
        before = context.obj if isinstance(context.obj, Options) else Options()
        with Session(before.merged(here), verb=section) as session:
            function(session, **values)  # type: ignore[call-arg] # typer hands out by name

    parameters = [
        context,
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *(without_flags(parameter, own_flags) for parameter in PARAMETERS),
    ]
    set_parameters(run, parameters)
    return run
