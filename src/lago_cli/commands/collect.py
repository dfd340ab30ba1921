"""The verb that fetches files from guests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lago_cli.output import render_table
from lago_cli.session import Session
from lago_cli.verbs import new_family, verb

if TYPE_CHECKING:
    from lago_cli.output import Data
    from lago_sdk import CollectReport, VMArtifacts

app = new_family()

_SHOWN = 5
"""Things left out that are named; there may be thousands."""


@verb(
    app,
    "lagoctl collect --output evidence",
    "lagoctl collect --output evidence web db",
    "lagoctl collect --output evidence --no-skip",
)
def collect(
    session: Session,
    vms: Annotated[
        list[str] | None, typer.Argument(metavar="VM...", help="Names of VMs; all when absent.")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where to; what is there already is put aside, with the time in its name.",
        ),
    ] = Path("artifacts"),
    no_skip: Annotated[
        bool, typer.Option("--no-skip", help="Fail where a guest lacks a path.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds a guest may take; 600 when absent.")
    ] = None,
) -> None:
    """Fetch the artifacts of VMs, whether they run or not.

    Which paths, the init file says: `artifacts` of each domain. They come over ssh from guests that
    run, and are read from the disks of those that are off.
    """
    prefix = session.open_prefix()
    report = prefix.collect_artifacts(output, vms or None, timeout=timeout or 600.0)
    session.write(_data(report), _tables(report))
    _tell(session, report)
    report.check()
    lacking = [vm.name for vm in report.vms.values() if vm.missing]
    if no_skip and lacking:
        from lago_sdk import PathNotFoundError

        first = report.vms[lacking[0]]
        raise PathNotFoundError(first.name, first.missing)


def _tell(session: Session, report: "CollectReport") -> None:
    if report.rotated is not None:
        session.say(f"the old output is in {report.rotated}")
    if not report.vms:
        session.say("nothing to collect: the init file names no artifacts for them")
    for vm in report.vms.values():
        for item in vm.skipped[:_SHOWN]:
            session.say(f"{vm.name}: left out {item.path!r}: {item.reason}")
        if len(vm.skipped) > _SHOWN:
            session.say(f"{vm.name}: left out {len(vm.skipped) - _SHOWN} more")


def _tables(report: "CollectReport") -> str:
    rows = [
        (vm.name, "" if vm.road is None else vm.road.value, path, state, place)
        for vm in report.vms.values()
        for path, state, place in _list_rows(vm)
    ]
    if not rows:
        return ""
    return render_table("", ["VM", "by", "path", "state", "file"], rows)


def _list_rows(vm: "VMArtifacts") -> list[tuple[str, str, str]]:
    if vm.error is not None and vm.road is None:
        return [("", "failed", "")]
    got = [(path, "collected", str(place)) for path, place in vm.collected.items()]
    return got + [(path, "missing", "") for path in vm.missing]


def _data(report: "CollectReport") -> "Data":
    return {
        vm.name: {
            "by": None if vm.road is None else vm.road.value,
            "collected": {path: str(place) for path, place in vm.collected.items()},
            "missing": list(vm.missing),
            "skipped": {item.path: item.reason for item in vm.skipped},
            "error": None if vm.error is None else vm.error.message,
        }
        for vm in report.vms.values()
    }
