"""Verbs that read an init file and touch nothing."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lago_cli.commands.create import INIT_FILE
from lago_cli.failures import MISTAKE
from lago_cli.session import Session
from lago_cli.tables import plan_data, plan_tables
from lago_cli.verbs import new_family, verb

app = new_family()


@verb(
    app,
    "lagoctl validate",
    "lagoctl validate --strict lab/*.yaml",
    "lagoctl validate -f json",
    "lagoctl validate --schema > lago.schema.json",
)
def validate(
    session: Session,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Init files; ./LagoInitFile when absent."),
    ] = None,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take warnings, such as unknown keys, for errors.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of init files, for editors.")
    ] = False,
) -> None:
    """Check init files and print every problem, as compilers do.

    Exits with 2 when there are errors.
    """
    from lago_cli.problems import format_problems, problem_data, summarize
    from lago_sdk import PrefixSpec, Problem, SpecError, check_init_file

    if schema:
        typer.echo(json.dumps(PrefixSpec.json_schema(), indent=2))
        return
    problems: list[Problem] = []
    for path in files or [INIT_FILE]:
        try:
            problems += check_init_file(path)
        except SpecError as error:
            problems += error.problems
    is_bad = any(strict or problem.is_error for problem in problems)
    session.write(
        [problem_data(problem) for problem in problems],
        format_problems(problems, is_terminal=sys.stdout.isatty()),
    )
    session.say(summarize(problems) if problems else "no problems")
    if is_bad:
        raise typer.Exit(MISTAKE)


@verb(app, "lagoctl plan lab/LagoInitFile", "lagoctl plan -f json", "lagoctl plan")
def plan(
    session: Session,
    initfile: Annotated[
        Path | None,
        typer.Argument(
            metavar="INITFILE",
            help="./LagoInitFile when absent; without that either, the plan of the prefix.",
        ),
    ] = None,
) -> None:
    """Show what a lab would be, without making anything.

    That is: its subnets, addresses, MACs, names and files, and how each guest is prepared (see
    docs/bootstrap.md) and why.

    For an init file the uuid, and the names made from it, stand for those a real prefix draws.
    """
    from lago_sdk import plan_spec

    if initfile is None and not INIT_FILE.exists():
        found = session.open_prefix().plan
    else:
        found = plan_spec(initfile or INIT_FILE, config=session.config)
    session.write(plan_data(found), plan_tables(found))
