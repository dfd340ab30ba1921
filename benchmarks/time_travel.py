"""How long a lab takes until all its VMs answer ssh: booted, restored, reverted and forked.

Usage: ``python benchmarks/time_travel.py [--vms N...] [--runs N] [--no-systemd]``

Each lab is booted once (the time to compare with), and kept in a cache of its own; then it is
kept as a snapshot and reverted, forked, destroyed, and made again from the cache. Labs of so many
VMs boot the template ``tiny``; the last one is a guest with systemd, ``debian-12``. Every time is
until a command over ssh has ended on all VMs; medians, where there are several runs. Bytes are
those that images take on disk, each file counted once however many labs have it.

Absolute times depend on the machine and on who else uses it; look at the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from fork import measure_bytes

from lago_sdk import Config, Event, Prefix, StageStarted, build_template

if TYPE_CHECKING:
    from collections.abc import Callable

TINY, SYSTEMD = "tiny", "debian-12"
FORKS = 8
_MIB = 1 << 20


@attrs.frozen(kw_only=True)
class Row:
    """What was measured of one lab; in seconds."""

    name: str
    boot: float
    restore: float
    revert: float
    fork: float
    pause: float
    """How long the running lab stands still for its snapshot."""


class Watch:
    """An observer that knows when a lab had booted: when it began to be kept."""

    def __init__(self) -> None:
        self.booted = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "keep checkpoint":
            self.booted = time.monotonic()


def make_spec(count: int, template: str) -> dict[str, object]:
    root = {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
    memory = 512 if template == SYSTEMD else 256
    vm = {"memory": memory, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [root]}
    nets = {"lan": {"dhcp": {"start": 100, "end": 254}}}
    return {"domains": {f"vm{index}": vm for index in range(count)}, "nets": nets}


def until_ssh(work: Callable[[], Prefix]) -> tuple[float, Prefix]:
    """Do *work*, and wait until all VMs of the lab that it gives answer; returns the seconds."""
    begin = time.monotonic()
    prefix = work()
    for vm in prefix.vms.values():
        vm.ssh("true").check()
    return time.monotonic() - begin, prefix


def median(runs: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(runs))


class Lab:
    """One lab, in a workdir and with a cache of its own."""

    def __init__(self, count: int, template: str, place: Path) -> None:
        self.spec = make_spec(count, template)
        self.workdir = place / "w"
        self.config = Config.load({"cache_dir": place / "cache"})
        self.name = f"{count} x {template}"

    def measure(self, runs: int) -> Row:
        watch = Watch()
        begin = time.monotonic()
        with self._create(watch) as prefix:
            prefix.start()
            boot = watch.booted - begin
            pause = prefix.create_snapshots("clean").pause
            revert = median(runs, lambda: self._revert(prefix))
            fork = median(runs, lambda: self._fork(prefix))
        restore = median(runs, self._restore)
        return Row(
            name=self.name, boot=boot, restore=restore, revert=revert, fork=fork, pause=pause
        )

    def measure_disk(self) -> str:
        """Fork a restored lab; returns what that takes on the disk."""
        with self._create() as prefix:
            prefix.start()
            before = measure_bytes(self.workdir) / _MIB
            forks = prefix.fork_many([f"fork-{number}" for number in range(FORKS)])
            after = measure_bytes(self.workdir) / _MIB
            for fork in forks:
                fork.destroy()
        return f"on disk: the lab {before:.1f} MiB, with {FORKS} forks {after:.1f} MiB"

    def _create(self, observer: Watch | None = None) -> Prefix:
        return Prefix.create(
            self.spec, workdir=self.workdir, config=self.config, observer=observer, cache=True
        )

    def _restore(self) -> float:
        def restore() -> Prefix:
            prefix = self._create()
            report = prefix.start()
            assert report.checkpoint is not None
            assert report.checkpoint.stage.value == "restored", report.checkpoint
            return prefix

        seconds, prefix = until_ssh(restore)
        prefix.destroy()
        return seconds

    def _revert(self, prefix: Prefix) -> float:
        def revert() -> Prefix:
            prefix.revert_snapshots("clean")
            return prefix

        return until_ssh(revert)[0]

    def _fork(self, prefix: Prefix) -> float:
        seconds, fork = until_ssh(lambda: prefix.fork("fork"))
        fork.destroy()
        return seconds


def render(row: Row) -> str:
    cells = [row.name, f"{row.boot:.2f} s"]
    cells += [
        f"{part:.2f} s, {part / row.boot:.2f}" for part in (row.restore, row.revert, row.fork)
    ]
    return render_cells([*cells, f"{row.pause:.2f} s"])


def render_cells(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-systemd", action="store_true", help="leave the slow lab out")
    options = parser.parse_args()
    labs = [(count, TINY) for count in options.vms]
    labs += [] if options.no_systemd else [(1, SYSTEMD)]
    for template in {template for _, template in labs}:
        build_template(template)
    head = ["lab", "cold boot", "restore", "revert", "fork", "pause for a snapshot"]
    print(render_cells(head))
    print(render_cells(["---"] * len(head)))
    disk = []
    for count, template in labs:
        with tempfile.TemporaryDirectory() as place:
            lab = Lab(count, template, Path(place))
            print(render(lab.measure(options.runs)), flush=True)
            if count == 1:
                disk.append(f"{lab.name}: {lab.measure_disk()}")
    print("\n".join(["", *disk]))


if __name__ == "__main__":
    main()
