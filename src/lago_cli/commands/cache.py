"""Verbs for the cache of checkpoints, from which labs come up."""

from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.output import render_table
from lago_cli.session import Session
from lago_cli.tables import KEY_DIGITS
from lago_cli.units import format_date, format_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_cli.output import Data
    from lago_sdk import Checkpoint

app = new_family()
_cache = new_family(no_args_is_help=True)

_Key = Annotated[
    str, typer.Argument(metavar="KEY", help="Its key, or as many digits as tell it from others.")
]


@_cache.callback()
def cache() -> None:
    """See and clear the cache that labs come up from.

    lagoctl up --cache makes checkpoints in it, and uses them.
    """


app.add_typer(_cache, name="cache")


@verb(_cache, "lagoctl cache list", "lagoctl cache list -f json", name="list", section="cache")
def list_all(session: Session) -> None:
    """List the checkpoints, the last used first."""
    from lago_sdk import list_checkpoints

    found = list_checkpoints(config=session.config)
    session.write([_data(item) for item in found], _table(found))
    if not found:
        session.say(f"no checkpoints in {session.config.checkpoints}")


@verb(_cache, "lagoctl cache info 3fa85f64", section="cache")
def info(session: Session, key: _Key) -> None:
    """Show all that is known of a checkpoint.

    What made it is in the file key.json of its directory.
    """
    from lago_sdk import get_checkpoint

    found = get_checkpoint(key, config=session.config)
    data = _data(found)
    rows = [
        ("checkpoint", found.key),
        ("VMs", ", ".join(found.vms)),
        ("made", _date(found.made)),
        ("made of", found.lab),
        ("last used", _date(found.last_used)),
        ("hits", str(found.hits)),
        ("on disk", format_size(found.disk_usage)),
        ("free without it", format_size(found.reclaimable)),
        ("used by", _users(found)),
        ("directory", str(found.path)),
    ]
    session.write(data, render_table("", ("WHAT", "VALUE"), rows))


@verb(
    _cache,
    "lagoctl cache gc",
    "lagoctl cache gc --max-age 7d --dry-run",
    "lagoctl cache gc --max-size 5G",
    section="cache",
)
def gc(
    session: Session,
    *,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="TIME",
            help="Remove what was not used for so long: 12h, 30d, 2w; 0: all. The setting "
            "checkpoint_max_age when absent.",
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            help="Remove the least recently used until all take at most so much: 20G. The "
            "setting checkpoint_max_size when absent.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove checkpoints that were not used for long, and what killed processes left.

    Labs that were made of them keep what they have. It also happens by itself when a checkpoint
    is kept.
    """
    from lago_sdk import gc_checkpoints

    session.set_arguments(checkpoint_max_age=max_age, checkpoint_max_size=max_size)
    config = session.config
    report = gc_checkpoints(
        older_than=config.checkpoint_max_age,
        max_size=config.checkpoint_max_size,
        is_dry=dry_run,
        config=config,
    )
    data: Data = {
        "dry_run": report.is_dry,
        "freed": report.freed,
        "removed": [_data(item) for item in report.removed],
        "kept": [item.key for item in report.kept],
    }
    session.write(data, _table(report.removed) if report.removed else "")
    count = len(report.removed)
    told = "nothing" if not count else f"{count} checkpoint{'' if count == 1 else 's'}"
    freed = f", {format_size(report.freed)}" if count else ""
    session.say(f"{'would remove' if dry_run else 'removed'} {told}{freed}")


@verb(_cache, "lagoctl cache rm 3fa85f64", section="cache")
def rm(
    session: Session,
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY...", help="Keys, or as many digits as tell them from others."),
    ],
) -> None:
    """Remove checkpoints; labs that were made of them keep what they have."""
    from lago_sdk import get_checkpoint, remove_checkpoint

    found = [get_checkpoint(key, config=session.config) for key in keys]
    for item in found:
        remove_checkpoint(item.key, config=session.config)
        session.say(f"removed {item.key[:KEY_DIGITS]}, {format_size(item.reclaimable)}")


def _data(item: "Checkpoint") -> "Data":
    return {
        "key": item.key,
        "vms": list(item.vms),
        "made": _date(item.made),
        "last_used": _date(item.last_used),
        "hits": item.hits,
        "disk_usage": item.disk_usage,
        "reclaimable": item.reclaimable,
        "users": item.users,
        "lab": item.lab,
        "path": str(item.path),
    }


def _table(items: "Sequence[Checkpoint]") -> str:
    head = ("KEY", "VMS", "ON DISK", "MADE", "LAST USED", "HITS", "USED BY")
    rows = [
        (
            item.key[:KEY_DIGITS],
            ", ".join(item.vms) or "(damaged)",
            format_size(item.disk_usage),
            _date(item.made),
            _date(item.last_used),
            str(item.hits),
            _users(item),
        )
        for item in items
    ]
    return render_table("", head, rows)


def _users(item: "Checkpoint") -> str | None:
    return f"{item.users} prefix{'' if item.users == 1 else 'es'}" if item.users else None


def _date(seconds: float) -> str | None:
    return format_date(seconds) if seconds else None
