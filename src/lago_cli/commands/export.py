"""Verbs that carry labs elsewhere."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.options import TemplateRepoName, TemplateRepoPath, template_arguments
from lago_cli.output import render_table
from lago_cli.session import Session
from lago_cli.units import format_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_cli.output import Data
    from lago_sdk import ExportReport

app = new_family()


class Compress(enum.StrEnum):
    """How images are compressed."""

    XZ = "xz"
    ZSTD = "zstd"


@verb(
    app,
    "lagoctl export /srv/labs/nightly",
    "lagoctl export nightly web db --standalone --compress xz",
    "lagoctl export appliances --ova",
)
def export(
    session: Session,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new directory; it appears whole or not at all.")
    ],
    vms: Annotated[
        list[str] | None,
        typer.Argument(metavar="VM...", help="Names of VMs; all without skip-export when absent."),
    ] = None,
    *,
    standalone: Annotated[
        bool,
        typer.Option("--standalone", "-s", help="Whole images; else layers on their templates."),
    ] = False,
    compress: Annotated[
        Compress | None, typer.Option("--compress", help="Compress the images.")
    ] = None,
    ova: Annotated[
        bool, typer.Option("--ova", help="Write an appliance for each VM: for other products too.")
    ] = False,
    with_scripts: Annotated[
        bool, typer.Option("--with-scripts", help="Have the deploy scripts in it.")
    ] = False,
) -> None:
    """Write the lab into a directory, to make it again elsewhere.

    Its VMs must be off. In the directory are the disks, their digests, and an init file with the
    addresses of now. Take it in again: lagoctl import DIR.
    """
    report = session.open_prefix().export(
        directory,
        vms=vms or None,
        standalone=standalone,
        compress=None if compress is None else compress.value,
        ova=ova,
        scripts=with_scripts,
    )
    session.write(_data(report), _table(report))
    size = format_size(report.size)
    session.say(f"exported {', '.join(report.vms)} to {report.directory}: {size}")
    session.say(f"make the lab of it again: lagoctl import {directory}")


@verb(
    app,
    "lagoctl import /srv/labs/nightly",
    "lagoctl import nightly --workdir-path /var/tmp/lab --prefix-name second --set-current",
    name="import",
)
def import_(
    session: Session,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What lagoctl export wrote.")],
    *,
    set_current: Annotated[
        bool, typer.Option("--set-current", help="Make it the current prefix.")
    ] = False,
    template_repo_path: TemplateRepoPath = None,
    template_repo_name: TemplateRepoName = None,
) -> None:
    """Make a prefix of what was exported; nothing runs yet.

    All of it is checked by its digests first, and it may name nothing outside of itself but
    templates. Disks are copied: the export is not needed afterwards.
    """
    from lago_sdk import Prefix, Workdir

    session.set_arguments(**template_arguments(template_repo_path, template_repo_name))
    name = session.config.prefix_name
    prefix = Prefix.load_export(
        directory,
        workdir=session.config.workdir.absolute(),
        name="default" if name == "current" else name,
        config=session.config,
        observer=session.observer,
    )
    if set_current:
        Workdir.open(prefix.path.parent).set_current(prefix.name)
    session.say(f"made the prefix {prefix.name!r} in {prefix.path.parent}; start it: lagoctl start")


def _data(report: "ExportReport") -> "Data":
    """Return the files by VM, as Lago did."""
    paths: Data = {vm: [str(path) for path in found] for vm, found in report.paths.items()}
    return {**paths, "init-file": str(report.init_file)}  # type: ignore[dict-item]


def _table(report: "ExportReport") -> str:
    rows = [
        (disk.vm, disk.disk, disk.path.name, format_size(disk.file_size), disk.base)
        for disk in report.disks
    ]
    return render_table("", ["VM", "DISK", "FILE", "SIZE", "LAYER ON"], rows)
