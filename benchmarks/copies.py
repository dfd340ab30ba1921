"""How long copies to and from a tiny VM take, beside scp and beside tar over ssh in the same run.

``python benchmarks/copies.py`` boots one VM with a file system in memory. All ways go in turns,
over the same guest; ``scp`` and ``tar`` keep a connection of their own open (ControlMaster), as we
do; ``--without-tar`` leaves the latter out. Under emulation the guest's own server is what costs
most: read the ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk import Config, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from lago_sdk import VM

    Way: TypeAlias = Callable[[Path], tuple[float, float]]

BUDGET = 1.3
MB = 1_000_000
ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}


def make_spec(memory: int) -> dict[str, object]:
    """One VM with *memory* MiB."""
    vm = {"memory": memory, "vcpu": 2, "nics": [{"net": "lan"}], "disks": [ROOT]}
    return {"domains": {"solo": vm}, "nets": {"lan": {"type": "nat", "management": True}}}


def make_sources(directory: Path, size: int, sparse: int, count: int) -> None:
    """Write a file of *size* bytes, a sparse one of *sparse* bytes, and *count* small files."""
    block = os.urandom(MB)
    with (directory / "big").open("wb") as file:
        for _ in range(size // MB):
            file.write(block)
    if sparse:
        with (directory / "sparse").open("wb") as file:
            file.write(block)
            file.truncate(sparse)
    (directory / "small").mkdir()
    for number in range(count):
        below = directory / "small" / f"{number // 100:03}"
        below.mkdir(exist_ok=True)
        (below / f"{number:05}").write_bytes(block[number : number + 2000])


class Ways:
    """The three ways of copying, each to the guest and back."""

    def __init__(self, vm: VM, config: Path, control: Path, place: Path) -> None:
        self._vm = vm
        options = ["-F", str(config), "-o", "ControlMaster=auto", "-o", f"ControlPath={control}"]
        self._options = [*options, "-o", "ControlPersist=60"]
        self._place = place

    def run(self, *argv: str) -> None:
        """Run a program of OpenSSH with our options."""
        subprocess.run([argv[0], *self._options, *argv[1:]], check=True, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        """End the kept connection."""
        subprocess.run(["ssh", *self._options, "-O", "exit", "solo"], check=False)

    def ours(self, source: Path) -> tuple[float, float]:
        """By vm.copy_to and vm.copy_from."""
        there = f"/mnt/{source.name}"
        return self._measure(
            lambda: self._vm.copy_to(source, "/mnt"),
            lambda: self._vm.copy_from(there, self._place),
        )

    def scp(self, source: Path) -> tuple[float, float]:
        """By scp -rp."""
        return self._measure(
            lambda: self.run("scp", "-qrp", str(source), "solo:/mnt/"),
            lambda: self.run("scp", "-qrp", f"solo:/mnt/{source.name}", str(self._place)),
        )

    def tar(self, source: Path) -> tuple[float, float]:
        """By tar over ssh, in a shell."""
        ssh = " ".join(["ssh", *self._options, "solo"])
        name, above = source.name, source.parent
        return self._measure(
            lambda: _shell(f"tar -C {above} -cf - {name} | {ssh} tar -C /mnt -xf -"),
            lambda: _shell(f"{ssh} tar -C /mnt -cf - {name} | tar -C {self._place} -xf -"),
        )

    def _measure(self, to: Callable[[], object], back: Callable[[], object]) -> tuple[float, float]:
        self._vm.ssh("rm -rf /mnt/*").check()
        for path in self._place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return _seconds(to), _seconds(back)


def _shell(line: str) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-c", line], check=True)


def _seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def main() -> None:
    """Print the times and what ours are of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="megabytes of the big file")
    parser.add_argument("--sparse", type=int, default=100, help="megabytes of the sparse one")
    parser.add_argument("--without-tar", action="store_true", help="leave tar over ssh out")
    parser.add_argument("--count", type=int, default=5000, help="how many small files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("sources", "back"):
            (directory / part).mkdir()
        sizes = (options.size * MB, options.sparse * MB)
        make_sources(directory / "sources", *sizes, options.count)
        spec = make_spec(options.size + 250)
        with Prefix.create(
            spec, workdir=directory / "w", config=Config.load(), ephemeral=True
        ) as prefix:
            prefix.start()
            vm = prefix.vms["solo"]
            vm.ssh("mount -t tmpfs -o size=95%,nr_inodes=100k none /mnt").check()
            ways = Ways(vm, prefix.ssh_config, directory / "control", directory / "back")
            ways.run("ssh", "solo", "true")
            try:
                chosen = {"ours": ways.ours, "scp": ways.scp, "tar": ways.tar}
                if options.without_tar:
                    del chosen["tar"]
                report(chosen, directory / "sources")
            finally:
                ways.close()


def report(ways: dict[str, Way], sources: Path) -> None:
    """Measure and print."""
    ratios = [f"ours/{name}" for name in ways if name != "ours"]
    titles = "".join(f"{name:>10}" for name in (*ways, *ratios))
    print(f"{'':14}{titles}   budget {BUDGET}")
    for source in sorted(sources.iterdir()):
        times = {name: way(source) for name, way in ways.items()}
        for index, direction in enumerate(("to", "from")):
            ours, *others = (pair[index] for pair in times.values())
            row = "".join(f"{seconds:9.2f}s" for seconds in (ours, *others))
            row += "".join(f"{ours / other:10.2f}" for other in others)
            print(f"{source.name:8}{direction:6}{row}", flush=True)


if __name__ == "__main__":
    main()
