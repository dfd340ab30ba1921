"""Verbs that keep the state of VMs, and go back to it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.output import render_table
from lago_cli.session import Session
from lago_cli.units import format_size
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_cli.output import Data
    from lago_sdk import Prefix, Snapshot

app = new_family()

_VMs = Annotated[
    list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
]
_HEAD = ("SNAPSHOT", "KIND", "CREATED", "VMS", "SIZE", "PAUSE")


@verb(
    app,
    "lagoctl snapshot clean",
    "lagoctl snapshot before-upgrade db --disk-only",
    "lagoctl snapshot --list",
    "lagoctl snapshot --delete before-upgrade",
    own_flags=("-l",),
)
def snapshot(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name.")] = None,
    vms: _VMs = None,
    *,
    disk_only: Annotated[
        bool, typer.Option("--disk-only", help="Without the memory of VMs that run.")
    ] = False,
    list_only: Annotated[bool, typer.Option("--list", "-l", help="Show what there is.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Forget the snapshot NAME.")] = False,
) -> None:
    """Keep the state of VMs under a name, to go back to.

    VMs that run stand still meanwhile, all at once, and run on.
    """
    prefix = session.open_prefix()
    if list_only:
        session.write(_snapshots_data(prefix), _snapshots_table(prefix), lago_wrote_it=True)
    elif name is None:
        from lago_sdk import LagoError

        raise LagoError("the snapshot needs a name", hint="lagoctl snapshot NAME, or --list")
    elif delete:
        session.say(f"deleted {name} of {', '.join(prefix.delete_snapshots(name, vms))}")
    else:
        report = prefix.create_snapshots(name, vms, memory=not disk_only)
        paused = f", the VMs stood still for {report.pause:.2f} s" if report.pause else ""
        size = format_size(sum(item.size for item in report.vms.values()))
        session.say(f"kept {', '.join(report.vms)} as {name}: {size}{paused}")


@verb(app, "lagoctl revert clean", "lagoctl revert clean web", "lagoctl revert clean --if-dirty")
def revert(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The snapshot.")],
    vms: _VMs = None,
    *,
    if_dirty: Annotated[
        bool,
        typer.Option("--if-dirty", help="Only if anything may have happened to the VMs since."),
    ] = False,
) -> None:
    """Go back to a snapshot: memory and disks are those of then.

    It returns when guests answer ssh and their clocks are right.
    """
    report = session.open_prefix().revert_snapshots(name, vms, if_dirty=if_dirty)
    if report.changed:
        session.say(f"reverted {', '.join(report.reverted)} to {name} in {report.seconds:.2f} s")
    else:
        session.say(f"nothing to do: nothing has happened since {name}")


def _snapshots_data(prefix: "Prefix") -> "Data":
    """Return the snapshots by VM, as Lago had them."""
    return {
        vm: {
            name: {
                "kind": item.vms[vm].kind.value,
                "mechanism": item.vms[vm].mechanism.value,
                "created": item.vms[vm].created,
                "parent": item.vms[vm].parent,
                "size": item.vms[vm].size,
                "pause": item.vms[vm].pause,
            }
            for name, item in prefix.snapshots.items()
            if vm in item.vms
        }
        for vm in prefix.vms
    }


def _snapshots_table(prefix: "Prefix") -> str:
    """Return the snapshots as a tree: each below the one that its VMs were at before."""
    found = prefix.snapshots
    rows = [_row(found[name], depth) for name, depth in _walk(found)]
    return render_table("", _HEAD, rows) if rows else "no snapshots"


def _walk(snapshots: "Mapping[str, Snapshot]") -> "Iterator[tuple[str, int]]":
    """Yield names in the order of the tree, with how deep they are."""
    children: dict[str | None, list[str]] = {}
    for name, item in snapshots.items():
        parent = item.parents[0] if item.parents else None
        children.setdefault(parent if parent in snapshots else None, []).append(name)
    stack = [(name, 0) for name in reversed(children.get(None, []))]
    while stack:
        name, depth = stack.pop()
        yield name, depth
        stack += [(child, depth + 1) for child in reversed(children.get(name, []))]


def _row(item: "Snapshot", depth: int) -> tuple[str | None, ...]:
    kinds = dict.fromkeys(vm.kind.value for vm in item.vms.values())
    pause = max(vm.pause for vm in item.vms.values())
    return (
        "  " * depth + item.name,
        ", ".join(kinds),
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.created)),
        ", ".join(item.vms),
        format_size(item.size) if item.size else None,
        f"{pause:.2f} s" if pause else None,
    )
