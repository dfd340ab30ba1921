"""How long forks of a running lab take to answer ssh, beside a cold boot, and their bytes.

Usage: ``python benchmarks/fork.py [--vms N...] [--forks N...] [--template NAME]``

For each number of VMs a lab is booted once (the time to compare with), and forked as so many
prefixes at once as each number of forks says. A fork that is returned answers ssh. The bytes are
those that files take on disk, each counted once however many prefixes have it. Absolute times
depend on the machine and on who else uses it; look at the ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = "VMs  forks    seconds    per fork    of a boot each    MiB on disk, lab and forks"
_MIB = 1 << 20


def make_spec(count: int, template: str) -> dict[str, object]:
    root = {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
    vm = {"memory": 256, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [root]}
    nets = {"lan": {"dhcp": {"start": 100, "end": 254}}}
    return {"domains": {f"vm{index}": vm for index in range(count)}, "nets": nets}


def measure_bytes(workdir: Path) -> int:
    """Return what all images take on disk; a file with several names counts once."""
    found = {}
    for path in workdir.glob("*/images/**/*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            found[stat.st_ino] = stat.st_blocks * 512
    return sum(found.values())


def measure(prefix: Prefix, count: int, boot: float) -> str:
    begin = time.monotonic()
    forks = prefix.fork_many([f"fork-{number}" for number in range(count)])
    for fork in forks:
        for vm in fork.vms.values():
            vm.ssh("true").check()
    seconds = time.monotonic() - begin
    size = measure_bytes(prefix.path.parent) / _MIB
    for fork in forks:
        fork.destroy()
    return render_row(len(prefix.vms), str(count), seconds, seconds / count, boot, size)


def render_row(vms: int, forks: str, seconds: float, each: float, boot: float, size: float) -> str:
    share = each / boot
    return f"{vms:>3} {forks:>6} {seconds:10.2f} {each:11.2f} {share:17.2f} {size:29.1f}"


def measure_all(count: int, template: str, forks: Iterable[int], workdir: Path) -> None:
    """Boot a lab of *count* VMs, and print a line for each number of forks."""
    with Prefix.create(make_spec(count, template), workdir=workdir) as prefix:
        begin = time.monotonic()
        prefix.start()
        boot = time.monotonic() - begin
        for vm in prefix.vms.values():
            vm.ssh("sync").check()
        size = measure_bytes(workdir) / _MIB
        print(render_row(count, "boot", boot, boot, boot, size), flush=True)
        for number in forks:
            print(measure(prefix, number, boot), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--forks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--template", default="tiny")
    options = parser.parse_args()
    print(HEAD)
    for count in options.vms:
        with tempfile.TemporaryDirectory() as place:
            measure_all(count, options.template, options.forks, Path(place, "w"))


if __name__ == "__main__":
    main()
