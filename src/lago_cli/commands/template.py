"""Verbs for templates: the store, and where what is in it comes from."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.failures import MISTAKE
from lago_cli.options import TemplateRepoName, TemplateRepoPath, template_arguments
from lago_cli.output import Data, render_table
from lago_cli.session import Session
from lago_cli.units import format_size, parse_duration, parse_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_sdk import Template

app = new_family()
_templates = new_family(no_args_is_help=True)
_DEFAULT_AGE = "30d"


class _Compress(enum.StrEnum):
    """How an exported image is compressed."""

    XZ = "xz"
    ZSTD = "zstd"


_Reference = Annotated[
    str,
    typer.Argument(metavar="NAME[:VERSION]", help="The template; its newest version when absent."),
]


@_templates.callback()
def template() -> None:
    """Get, build and manage templates, the images VMs start from."""


app.add_typer(_templates, name="template")


@verb(
    _templates,
    "lagoctl template list",
    "lagoctl template list -f json",
    "lagoctl template list --catalogue",
    name="list",
    section="template",
)
def list_all(
    session: Session,
    *,
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="List what vendors publish and can be fetched.")
    ] = False,
) -> None:
    """List the templates in the store."""
    if catalogue:
        _list_catalogue(session)
        return
    from lago_cli.templates import info_data, info_table
    from lago_sdk import list_template_infos

    found = list_template_infos(config=session.config)
    session.write([info_data(item) for item in found], info_table(found))
    if not found:
        session.say(f"no templates in {session.config.template_store}")


def _list_catalogue(session: Session) -> None:
    from lago_cli.templates import catalogue_data, catalogue_table
    from lago_sdk import list_catalogue

    found = list_catalogue(config=session.config, observer=session.observer)
    session.write([catalogue_data(entry) for entry in found], catalogue_table(found))


@verb(
    _templates,
    "lagoctl template info debian-12",
    "lagoctl template info tiny -f json",
    section="template",
)
def info(session: Session, reference: _Reference) -> None:
    """Show all that is known of a template in the store.

    That is: its file, size and digest, its facts, and which prefixes use it.
    """
    from lago_cli.templates import full_data, full_table
    from lago_sdk import get_template_info

    found = get_template_info(*_split(reference), config=session.config)
    session.write(full_data(found), full_table(found))


@verb(
    _templates,
    "lagoctl template fetch debian-12",
    "lagoctl template fetch el8-base:v2",
    section="template",
)
def fetch(
    session: Session,
    reference: _Reference,
    *,
    template_repo_path: TemplateRepoPath = None,
    template_repo_name: TemplateRepoName = None,
) -> None:
    """Fetch a template from where it is published.

    That is a template repository, or a vendor's server by the catalogue. What is in the store
    already is not fetched again. Prints the image's file.
    """
    from lago_sdk import fetch_template

    session.set_arguments(**template_arguments(template_repo_path, template_repo_name))
    name, version = _split(reference)
    found = fetch_template(name, version, config=session.config, observer=session.observer)
    _write_one(session, found)


@verb(
    _templates,
    "lagoctl template build tiny",
    "lagoctl template build recipes/web.yaml",
    section="template",
)
def build(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The recipe, such as tiny, or a recipe file.")
    ],
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
    _write_one(session, found)


@verb(
    _templates,
    "lagoctl template verify",
    "lagoctl template verify debian-12",
    section="template",
)
def verify(
    session: Session,
    reference: Annotated[
        str | None, typer.Argument(metavar="NAME[:VERSION]", help="All there are when absent.")
    ] = None,
) -> None:
    """Check templates in the store by their digests.

    Exits with 2 when one is damaged.
    """
    from lago_sdk import TemplateError, list_templates, verify_template

    config, observer = session.config, session.observer
    if reference is None:
        wanted = [(item.name, item.version) for item in list_templates(config=config)]
    else:
        from lago_sdk import get_template_info

        chosen = get_template_info(*_split(reference), config=config).template
        wanted = [(chosen.name, chosen.version)]
    found: list[tuple[str, str, str | None]] = []
    for name, version in wanted:
        try:
            verify_template(name, version, config=config, observer=observer)
        except TemplateError as error:
            found.append((name, version, str(error)))
        else:
            found.append((name, version, None))
    data: list[Data] = [
        {"name": name, "version": version, "ok": problem is None, "problem": problem}
        for name, version, problem in found
    ]
    rows = [(name, version, problem or "as it was added") for name, version, problem in found]
    session.write(data, render_table("", ("NAME", "VERSION", "IMAGE"), rows))
    if any(problem is not None for _, _, problem in found):
        raise typer.Exit(MISTAKE)


@verb(
    _templates,
    "lagoctl template gc",
    "lagoctl template gc --older-than 7d --dry-run",
    "lagoctl template gc --max-size 20G",
    section="template",
)
def gc(
    session: Session,
    *,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Remove what was not used for so long: 12h, 30d, 2w; 0: all that nobody uses. "
            f"{_DEFAULT_AGE} when neither limit is given.",
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            help="Remove the least recently used until the store takes at most so much: 20G.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove templates that no prefix uses.

    What a prefix uses stays, with all below it.
    """
    from lago_cli.templates import garbage_data, info_table
    from lago_sdk import gc_templates

    if older_than is None and max_size is None:
        older_than = _DEFAULT_AGE
    report = gc_templates(
        older_than=None if older_than is None else parse_duration(older_than),
        max_size=None if max_size is None else parse_size(max_size),
        is_dry=dry_run,
        config=session.config,
    )
    session.write(garbage_data(report), info_table(report.removed) if report.removed else "")
    count = len(report.removed)
    told = "nothing" if not count else f"{count} template{'' if count == 1 else 's'}"
    size = f", {format_size(report.freed)}" if count else ""
    session.say(f"{'would remove' if dry_run else 'removed'} {told}{size}")


@verb(
    _templates,
    "lagoctl template rm debian-12:20240101",
    "lagoctl template rm old --force",
    section="template",
)
def rm(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:VERSION]", help="The template; VERSION is needed if it has several."
        ),
    ],
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Remove it even from under prefixes, which breaks them."),
    ] = False,
) -> None:
    """Remove a template from the store, unless it is used."""
    from lago_sdk import remove_template

    name, version = _split(reference)
    found = remove_template(name, version, force=force, config=session.config)
    session.say(f"removed {found.template.reference}, {format_size(found.disk_usage)}")


@verb(
    _templates,
    "lagoctl template import disk.qcow2 --name appliance",
    "lagoctl template import disk.img --name appliance --version 2 --metadata facts.json",
    name="import",
    section="template",
)
def import_file(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A qcow2 or raw image.")],
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it.")],
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="VERSION", help="Made of its digest when absent."),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--metadata",
            metavar="FILE",
            help="Its facts, a JSON object; FILE.metadata when absent, where that is there.",
        ),
    ] = None,
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Take the file itself in place of a copy; it becomes read-only, and must not "
            "be changed any more.",
        ),
    ] = False,
) -> None:
    """Take an image of yours into the store.

    The file is copied; where the file system can, both share their blocks. An image on a backing
    file is made whole, unless that is a template. Prints the image's file.
    """
    from lago_sdk import import_template

    found = import_template(
        file,
        name=name,
        version=version,
        metadata=metadata,
        link=link,
        config=session.config,
        observer=session.observer,
    )
    _write_one(session, found)


@verb(
    _templates,
    "lagoctl template export tiny /srv/images",
    "lagoctl template export tiny tiny.qcow2 --compress xz",
    section="template",
)
def export(
    session: Session,
    reference: _Reference,
    target: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help="Where to; a file must not be there yet.")
    ],
    *,
    compress: Annotated[
        _Compress | None, typer.Option("--compress", metavar="xz|zstd", help="Compress it.")
    ] = None,
) -> None:
    """Write a template to a file, ready to be published.

    Beside it go FILE.hash and FILE.metadata, as template repositories want them. Prints the
    image's file.
    """
    from lago_sdk import Compression, export_template

    name, version = _split(reference)
    found = export_template(
        name,
        version,
        target=target,
        compression=None if compress is None else Compression(compress.value),
        config=session.config,
        observer=session.observer,
    )
    data: Data = {
        "image": str(found.image),
        "hash": str(found.hash),
        "metadata": str(found.metadata),
        "digest": found.digest,
    }
    session.write(data, str(found.image))


@verb(_templates, "lagoctl template outdated", section="template")
def outdated(
    session: Session,
    *,
    template_repo_path: TemplateRepoPath = None,
    template_repo_name: TemplateRepoName = None,
) -> None:
    """List templates of which something newer is published.

    Asks the repositories and vendors that the templates in the store came from.
    """
    from lago_cli.templates import outdated_data, outdated_table
    from lago_sdk import list_outdated_templates

    session.set_arguments(**template_arguments(template_repo_path, template_repo_name))
    found = list_outdated_templates(config=session.config, observer=session.observer)
    session.write([outdated_data(item) for item in found], outdated_table(found) if found else "")
    if not found:
        session.say("nothing newer is published")


def _split(reference: str) -> tuple[str, str | None]:
    """Return name and version of ``name`` or ``name:version``."""
    name, colon, version = reference.partition(":")
    return name, version if colon else None


def _write_one(session: Session, found: "Template") -> None:
    from lago_cli.templates import template_data

    session.write(template_data(found), found.image.path)
