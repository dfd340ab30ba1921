"""How long an export of a sparse disk takes, beside ``qemu-img convert`` and xz or zstd by hand.

``python benchmarks/export.py`` makes a VM with a disk of 1 GiB, a fifth of it content that
compresses like programs do and the rest holes, and exports it in all ways, in turns with what a
person would type: ``qemu-img convert``, then ``xz`` or ``zstd``, or ``sha256sum`` where nothing
is compressed. An export with compression makes two digests besides, and all of them wait for the
disk (fsync). No VM is booted. Imports are measured beside ``zstd -d``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk import Config, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 1.3
BLOCK = 1 << 20
WAYS: dict[str, dict[str, object]] = {
    "plain": {},
    "zstd": {"compress": "zstd"},
    "xz": {"compress": "xz"},
    "ova": {"ova": True},
}


def write_raw(path: Path, size: int) -> None:
    """Write a sparse image: every fifth mebibyte is words that repeat now and then."""
    chance = random.Random(1)
    words = [chance.randbytes(chance.randint(4, 40)) for _ in range(4000)]
    with path.open("wb") as file:
        for offset in range(0, size, 5 * BLOCK):
            file.seek(offset)
            file.write(b"".join(chance.choices(words, k=48000))[:BLOCK])
        file.truncate(size)


def make_prefix(directory: Path, size: int) -> Prefix:
    """Make a prefix whose one disk has that content."""
    disk = {"type": "empty", "name": "data", "size": size}
    vm = {"memory": 64, "nics": [{"net": "lan"}], "disks": [disk]}
    spec = {"domains": {"solo": vm}, "nets": {"lan": {}}}
    prefix = Prefix.create(spec, workdir=directory / "lab", config=Config.load())
    raw = directory / "raw"
    write_raw(raw, size)
    image = prefix.path / prefix.plan.vms[0].disks[0].path
    run("qemu-img", "convert", "-O", "qcow2", str(raw), str(image))
    raw.unlink()
    return prefix


def run(*argv: str) -> None:
    """Run a command."""
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def by_hand(way: str, image: Path, directory: Path) -> None:
    """Do what a person would type."""
    directory.mkdir()
    plain = directory / "disk.qcow2"
    if way == "ova":
        target = str(directory / "disk.vmdk")
        run(
            "qemu-img",
            "convert",
            "-O",
            "vmdk",
            "-o",
            "subformat=streamOptimized",
            str(image),
            target,
        )
        run("sha256sum", target)
        run("tar", "-cf", str(directory / "disk.ova"), "-C", str(directory), "disk.vmdk")
        Path(target).unlink()
        return
    run("qemu-img", "convert", "-O", "qcow2", str(image), str(plain))
    if way == "plain":
        run("sha256sum", str(plain))
    else:
        run(way, "-q", "-T0", str(plain), *(["--rm"] if way == "zstd" else []))


def measure(action: Callable[[Path], object], directory: Path) -> tuple[float, int]:
    """Return the seconds of *action*, and the bytes on the disk of what it wrote."""
    target = directory / "out"
    begin = time.perf_counter()
    action(target)
    took = time.perf_counter() - begin
    taken = sum(path.stat().st_blocks * 512 for path in target.iterdir())
    shutil.rmtree(target)
    return took, taken


def measure_import(prefix: Prefix, directory: Path) -> tuple[float, float]:
    """Return the seconds of an import of what was compressed by zstd, and of ``zstd -d``."""
    out = directory / "out"
    report = prefix.export(out, compress="zstd")
    begin = time.perf_counter()
    with Prefix.load_export(out, workdir=directory / "again", config=Config.load()):
        ours = time.perf_counter() - begin
    begin = time.perf_counter()
    run("zstd", "-q", "-d", str(report.disks[0].path), "-o", str(directory / "plain"))
    theirs = time.perf_counter() - begin
    (directory / "plain").unlink()
    shutil.rmtree(out)
    return ours, theirs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        with make_prefix(directory, arguments.size << 20) as prefix:
            image = prefix.path / prefix.plan.vms[0].disks[0].path
            load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
            print(f"{arguments.size} MiB, {image.stat().st_blocks >> 11} in use; {load}")
            for way in arguments.ways:
                ours, theirs = [], []
                for _ in range(arguments.rounds):
                    options = WAYS[way]
                    ours.append(measure(lambda out: prefix.export(out, **options), directory))  # type: ignore[arg-type]  # noqa: B023
                    theirs.append(measure(lambda out: by_hand(way, image, out), directory))  # noqa: B023
                mine, hand = (statistics.median(x for x, _ in times) for times in (ours, theirs))
                print(
                    f"export {way:6} {mine:6.2f} s, by hand {hand:6.2f} s: x{mine / hand:.2f} "
                    f"(budget {BUDGET}); {ours[0][1] >> 20} MiB on the disk, "
                    f"by hand {theirs[0][1] >> 20}"
                )
            took, floor = measure_import(prefix, directory)
            print(f"import zstd  {took:6.2f} s, zstd -d {floor:6.2f} s: x{took / floor:.2f}")


if __name__ == "__main__":
    main()
