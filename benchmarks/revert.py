"""How long a running lab takes back to a snapshot, beside QEMU's own load of it.

Usage: ``python benchmarks/revert.py [--vms N...] [--runs N] [--template NAME]``

For each number of VMs a lab is booted once. Each run reverts it, and then does by hand what no
revert can do without: QEMU's ``loadvm`` in all VMs at once (the floor), and a login to all of
them with a command that sets the clock. Absolute times depend on the machine and on who else
uses it; look at the ratios. The budget of a revert until VMs run is 1.5 times the floor + 0.3 s.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk import VM, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAME = "clean"
HEAD = "VMs    boot   pause  loadvm    runs  answers  by hand  runs/budget  answers/by hand"


def make_spec(count: int, template: str) -> dict[str, object]:
    root = {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
    vm = {"memory": 256, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [root]}
    nets = {"lan": {"dhcp": {"start": 100, "end": 254}}}
    return {"domains": {f"vm{index}": vm for index in range(count)}, "nets": nets}


def at_once(work: Callable[[VM], object], vms: Iterable[VM]) -> float:
    """Do *work* for all VMs at the same time; returns the seconds it took."""
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, vms))
    return time.monotonic() - begin


def time_by_hand(prefix: Prefix) -> tuple[float, float]:
    """Load the state by QEMU's monitor, and log in; returns the seconds of the load and of all."""
    vms = tuple(prefix.vms.values())
    hypervisor = prefix.context.hypervisor
    prefix.context.guests.forget()
    begin = time.monotonic()
    at_once(lambda vm: hypervisor.suspend_domain(vm.plan.domain), vms)
    load = at_once(lambda vm: hypervisor.load_inside(vm.plan.domain, f"lago-{NAME}"), vms)
    at_once(lambda vm: hypervisor.resume_domain(vm.plan.domain), vms)
    at_once(lambda vm: vm.ssh(f"date -u -s @{time.time():.0f} && sync").check(), vms)
    return load, time.monotonic() - begin


def measure(count: int, template: str, runs: int, workdir: Path) -> str:
    with Prefix.create(make_spec(count, template), workdir=workdir) as prefix:
        begin = time.monotonic()
        prefix.start()
        boot = time.monotonic() - begin
        pause = prefix.create_snapshots(NAME).pause
        prefix.revert_snapshots(NAME)
        rows = []
        for _ in range(runs):
            report = prefix.revert_snapshots(NAME)
            assert len(report.in_place) == count
            rows.append((report.loaded, report.seconds, *time_by_hand(prefix)))
    runs_at, answers, load, hand = (statistics.median(part) for part in zip(*rows, strict=True))
    budget = 1.5 * load + 0.3
    return (
        f"{count:>3}  {boot:5.2f}s  {pause:5.2f}s  {load:5.2f}s  {runs_at:5.2f}s  {answers:6.2f}s"
        f"  {hand:6.2f}s  {runs_at / budget:11.2f}  {answers / hand:15.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--template", default="tiny")
    options = parser.parse_args()
    print(HEAD)
    for count in options.vms:
        with tempfile.TemporaryDirectory() as directory:
            print(measure(count, options.template, options.runs, Path(directory, "w")), flush=True)


if __name__ == "__main__":
    main()
