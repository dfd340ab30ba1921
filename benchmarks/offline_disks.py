"""Reading and writing files of disks that are off, beside one libguestfs appliance.

Run it as ``python benchmarks/offline_disks.py [template] [rounds]``. Each round makes a new overlay
on the template's image and opens it, once to extract files and once to inject some. The floor is
what the same costs by libguestfs, measured beside it where it is installed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk import Config, get_template_info
from lago_sdk.adapters.offline import Guestfs, LocalDisks
from lago_sdk.adapters.process import find_tool
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.ports import OfflineFile
from lago_sdk.spec.disk import DiskFormat

if TYPE_CHECKING:
    from lago_sdk.ports import OfflineDisks

BUDGET = 100.0
"""Milliseconds a disk."""
NODES = {
    "/etc/hostname": OfflineFile(data=b"bench\n"),
    "/root/.ssh/authorized_keys": OfflineFile(data=b"ssh-ed25519 AAAA bench\n", mode=0o600),
    "/root/upload": OfflineFile(data=os.urandom(1 << 20)),
}


def extract(disks: OfflineDisks, overlay: Path, directory: Path) -> None:
    """Extract two files and a directory."""
    with disks.open(overlay, DiskFormat.QCOW2, read_only=True) as fs:
        wanted = ("/etc/passwd", "/etc/hostname", "/etc/network")
        fs.extract([(path, directory / path.replace("/", "_")) for path in wanted])


def inject(disks: OfflineDisks, overlay: Path, _directory: Path) -> None:
    """Write two small files and 1 MiB; read back, and the file system checked."""
    with disks.open(overlay, DiskFormat.QCOW2, read_only=False) as fs:
        fs.write_files(NODES)


def measure(disks: OfflineDisks, image: Path, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each kind of use."""
    found: dict[str, list[float]] = {"extract": [], "inject": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            overlay = Path(name, "overlay.qcow2")
            QemuImg().create_overlay(overlay, QemuImg().inspect(image))
            for use in (extract, inject):
                begin = time.perf_counter()
                use(disks, overlay, Path(name))
                found[use.__name__].append(1000 * (time.perf_counter() - begin))
    return {use: statistics.median(times) for use, times in found.items()}


def main() -> None:
    template = sys.argv[1] if len(sys.argv) > 1 else "tiny"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    image = Path(get_template_info(template, config=Config.load()).template.image.path)
    guestfs = Guestfs(dict(os.environ), has_kvm=False)
    ours = measure(LocalDisks(guestfs), image, rounds)
    theirs = measure(guestfs, image, 1) if find_tool("guestfish") else {}
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    print(f"{template}, medians of {rounds} rounds, {load}")
    for use, took in ours.items():
        beside = f"libguestfs {theirs[use]:.0f} ms, x{theirs[use] / took:.0f}" if theirs else ""
        print(f"{use:8} {took:6.1f} ms (budget {BUDGET:.0f})  {beside}".rstrip())


if __name__ == "__main__":
    main()
