"""The same lab of three VMs by each way to prepare a guest, and how long each takes.

Usage: ``python benchmarks/bootstrap.py [--vms N] [--tiny-only]``

For each way a prefix is made and started. ``create`` is all of ``Prefix.create``, ``a disk`` the
writing into one disk (one at a time, the median of some), ``its CPU`` the processor time of that,
which other load does not change much, ``to ssh`` the time from ``start``
until every VM answers. Systemd's credentials need systemd, so ``debian-12`` is brought up besides
``tiny``: with cloud-init, which reads the seed, and without. Absolute times depend on the machine;
look at the ratios to ``seed``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk import (
    Config,
    Prefix,
    StageFinished,
    StageStarted,
    build_template,
    get_template_info,
)
from lago_sdk.connect import local_disks, local_images
from lago_sdk.ports import OfflineFile
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk import Event

INJECT = "inject files"
ROUNDS = 7


@attrs.frozen(kw_only=True)
class Took:
    """Times of one way, in seconds."""

    create: float
    disk: float | None
    work: float | None
    start: float


class Injections:
    """An observer that notes what each injection took: seconds, and those of processors."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.work: list[float] = []
        self._begun = 0.0

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, StageStarted) and event.stage == INJECT:
            self._begun = sum(os.times()[:4])
        elif isinstance(event, StageFinished) and event.stage == INJECT:
            self.seconds.append(event.seconds)
            self.work.append(sum(os.times()[:4]) - self._begun)


def make_spec(count: int, disk: dict[str, object], road: str, memory: int) -> dict[str, object]:
    vm = {"memory": memory, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [disk]}
    domains = {f"vm{index}": {**vm, "bootstrap": road} for index in range(count)}
    return {"domains": domains, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


def measure(count: int, disk: dict[str, object], road: str, memory: int) -> Took:
    config = Config.load()
    with tempfile.TemporaryDirectory(prefix="lago-bench-") as name:
        workdir = Path(name, "w")
        each = work = None
        if road == "inject":
            alone = Injections()
            for _ in range(ROUNDS):
                spec = make_spec(1, disk, road, memory)
                with Prefix.create(spec, workdir=workdir, config=config, observer=alone):
                    pass
            each, work = statistics.median(alone.seconds), statistics.median(alone.work)
        together = Injections()
        begin = time.perf_counter()
        spec = make_spec(count, disk, road, memory)
        with Prefix.create(spec, workdir=workdir, config=config, observer=together) as prefix:
            created = time.perf_counter()
            prefix.start()
            end = time.perf_counter()
        if road == "guestfs":
            each, work = (sum(found) / count for found in (together.seconds, together.work))
    return Took(create=created - begin, disk=each, work=work, start=end - created)


def make_plain(directory: Path, config: Config) -> Path:
    """Return an overlay of ``debian-12`` whose cloud-init is switched off."""
    path = directory / "plain.qcow2"
    template = get_template_info("debian-12", config=config).template
    local_images().create_overlay(path, template.image)
    with local_disks().open(path, DiskFormat.QCOW2, read_only=False) as fs:
        fs.write_files({"/etc/cloud/cloud-init.disabled": OfflineFile(data=b"")})
    return path


def show(title: str, rows: dict[str, Took]) -> None:
    first = next(iter(rows.values()))
    print(f"\n{title}")
    heads = ("create", "a disk", "its CPU", "to ssh", "all", "to seed")
    print(f"{'bootstrap':20}{''.join(f'{head:>11}' for head in heads)}")
    for road, took in rows.items():
        whole = took.create + took.start
        cells = (
            f"{took.create:.2f} s",
            "-" if took.disk is None else f"{1000 * took.disk:.0f} ms",
            "-" if took.work is None else f"{1000 * took.work:.0f} ms",
            f"{took.start:.1f} s",
            f"{whole:.1f} s",
            f"{whole / (first.create + first.start):.2f}x",
        )
        print(f"{road:20}{''.join(f'{cell:>11}' for cell in cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=3)
    parser.add_argument("--tiny-only", action="store_true")
    options = parser.parse_args()
    config = Config.load()
    build_template("tiny", config=config)
    count = options.vms
    print(f"{count} VMs, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    tiny: dict[str, object] = {"type": "template", "template_name": "tiny"}
    roads = ("seed", "inject", "guestfs")
    show("tiny, 192 MiB", {road: measure(count, tiny, road, 192) for road in roads})
    if options.tiny_only:
        return
    build_template("debian-12", config=config)
    stock: dict[str, object] = {"type": "template", "template_name": "debian-12"}
    with tempfile.TemporaryDirectory(prefix="lago-bench-") as name:
        image = str(make_plain(Path(name), config))
        plain: dict[str, object] = {"type": "template", "template_type": "qcow2", "path": image}
        rows = {"seed (cloud-init)": measure(count, stock, "seed", 512)}
        for road in ("inject", "credentials"):
            rows[road] = measure(count, plain, road, 512)
    show("debian-12, 512 MiB", rows)


if __name__ == "__main__":
    main()
