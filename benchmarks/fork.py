"""How long forks of a running lab take to answer ssh, beside a cold boot, and their bytes.

Usage: ``python benchmarks/fork.py [--forks N...] [--template NAME]``

A lab of one VM is booted once (the time to compare with), and forked as so many prefixes at once
as each number says. A fork that is returned answers ssh. The bytes are those that files take on
disk, each counted once however many prefixes have it. Absolute times depend on the machine and
on who else uses it; look at the ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from lago_sdk import Prefix

HEAD = "forks    seconds    per fork    of a boot each    MiB on disk, lab and forks"
_MIB = 1 << 20


def make_spec(template: str) -> dict[str, object]:
    root = {"type": "template", "template_name": template, "name": "root", "dev": "vda"}
    vm = {"memory": 256, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [root]}
    return {"domains": {"vm0": vm}, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


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
        fork.vms["vm0"].ssh("true").check()
    seconds = time.monotonic() - begin
    size = measure_bytes(prefix.path.parent) / _MIB
    for fork in forks:
        fork.destroy()
    each = seconds / count
    return f"{count:5} {seconds:10.2f} {each:11.2f} {each / boot:17.2f} {size:29.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--template", default="tiny")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        workdir = Path(place, "w")
        with Prefix.create(make_spec(options.template), workdir=workdir) as prefix:
            begin = time.monotonic()
            prefix.start()
            boot = time.monotonic() - begin
            prefix.vms["vm0"].ssh("sync").check()
            size = measure_bytes(workdir) / _MIB
            print(f"cold boot to ssh: {boot:.2f} s; the lab's images take {size:.1f} MiB")
            print(HEAD)
            for count in options.forks:
                print(measure(prefix, count, boot), flush=True)


if __name__ == "__main__":
    main()
