"""Verbs for the template store."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.output import Data, render_table
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import Template

app = new_family()
_templates = new_family(no_args_is_help=True)


@_templates.callback()
def template() -> None:
    """Build and list templates, the images that VMs start from."""


app.add_typer(_templates, name="template")


@verb(_templates, "lagoctl template build tiny", section="template")
def build(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The recipe, such as tiny.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Build it anew where it is in the store already.")
    ] = False,
) -> None:
    """Build a template into the store, unless it is there.

    Prints the image's file.
    """
    from lago_sdk import build_template

    found = build_template(name, config=session.config, observer=session.observer, force=force)
    session.write(_data(found), found.image.path)


@verb(
    _templates,
    "lagoctl template list",
    "lagoctl template list -f json",
    name="list",
    section="template",
)
def list_all(session: Session) -> None:
    """List the templates in the store."""
    from lago_sdk import list_templates

    found = list_templates(config=session.config)
    head = ("NAME", "VERSION", "SIZE", "MADE", "FILE")
    rows = [
        (item.name, item.version, _mebibytes(item.image.size), _date(item), item.image.path)
        for item in found
    ]
    session.write([_data(item) for item in found], render_table("", head, rows))
    if not found:
        session.say(f"no templates in {session.config.template_store}")


def _data(item: "Template") -> Data:
    return {
        "name": item.name,
        "version": item.version,
        "made": _date(item),
        "path": item.image.path,
        "format": item.image.format.value,
        "size": item.image.size,
        "digest": item.image.digest,
    }


def _date(item: "Template") -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(item.timestamp))


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
