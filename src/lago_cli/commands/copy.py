"""The verbs that copy files and directories to and from guests."""

from typing import Annotated, TypeAlias

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

app = new_family()

_Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="VM", help="The VM, or the end of its name if that is unique.")
]
_Follow: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--follow", "-L", help="Copy what symbolic links lead to; else links below stay links."
    ),
]


@verb(
    app,
    "lagoctl copy-to-vm web site.conf /etc/nginx/conf.d/",
    "lagoctl copy-to-vm web build/ /srv/app",
    "lagoctl copy-to-vm db *.sql /var/tmp",
)
def copy_to_vm(
    session: Session,
    vm: _Name,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="LOCAL... REMOTE",
            help="What to copy, and where to in the guest: into a directory that is there, else "
            "what the copy is called.",
        ),
    ],
    *,
    follow: _Follow = False,
) -> None:
    """Copy files and directories to a guest.

    Modes, times, links and empty directories are kept; all belongs to the ssh user.
    """
    *sources, target = _check(paths, "lagoctl copy-to-vm VM LOCAL... REMOTE")
    find_vm(session.open_prefix(), vm).copy_to(sources, target, follow=follow)


@verb(
    app,
    "lagoctl copy-from-vm web /var/log/nginx logs",
    "lagoctl copy-from-vm db /etc/hosts /etc/passwd .",
)
def copy_from_vm(
    session: Session,
    vm: _Name,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="REMOTE... LOCAL",
            help="What to copy in the guest, and where to: into a directory that is there, else "
            "what the copy is called.",
        ),
    ],
    *,
    follow: _Follow = False,
) -> None:
    """Copy files and directories from a guest.

    Nothing is there before all of it has come. Devices and links that lead out of what is copied
    are left out, and told.
    """
    *sources, target = _check(paths, "lagoctl copy-from-vm VM REMOTE... LOCAL")
    find_vm(session.open_prefix(), vm).copy_from(sources, target, follow=follow)


def _check(paths: list[str], usage: str) -> list[str]:
    """Return *paths* when they are two at least.

    Raises:
        LagoError: They are not.
    """
    if len(paths) < 2:
        from lago_sdk import LagoError

        raise LagoError("it takes what to copy, and where to", hint=usage)
    return paths
