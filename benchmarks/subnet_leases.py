"""Round trips of subnet leases by many processes at once, and the file cost behind them.

Run it as ``python benchmarks/subnet_leases.py [round trips] [processes]``. Each process takes a
subnet that is free, checks that nobody else believes to have it, and gives it back. The floor
is the same number of exclusive flocks of one file by as many processes, measured beside it.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters import files
from lago_sdk.adapters.leases import FileSubnetLeases
from lago_sdk.errors import SubnetLeaseError

if TYPE_CHECKING:
    from collections.abc import Callable

SUBNETS = tuple(f"192.168.{number}.0/24" for number in range(200, 256))


def lease_rounds(directory: Path, worker: int, rounds: int) -> int:
    """Do *rounds* round trips; returns the number of collisions seen."""
    leases = FileSubnetLeases(directory / "subnets")
    uuid = f"{worker:032x}"
    uuid_path = directory / uuid
    uuid_path.write_text(uuid)
    collisions = 0
    for number in range(rounds):
        subnet = acquire_some(leases, uuid_path, uuid, start=worker + number)
        claim = directory / f"claim-{subnet.replace('/', '_')}"
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            collisions += 1
        else:
            claim.unlink()
        leases.release(uuid=uuid)
    return collisions


def acquire_some(leases: FileSubnetLeases, uuid_path: Path, uuid: str, *, start: int) -> str:
    """Take the first free subnet from number *start* on."""
    for number in range(10 * len(SUBNETS)):
        subnet = SUBNETS[(start + number) % len(SUBNETS)]
        try:
            leases.acquire(subnet, uuid_path=uuid_path, uuid=uuid)
        except SubnetLeaseError:
            continue
        return subnet
    raise SystemExit("no subnet was free")


def flock_rounds(directory: Path, _worker: int, rounds: int) -> int:
    """Take and give back a bare flock *rounds* times, twice each: the floor."""
    for _ in range(2 * rounds):
        descriptor = os.open(directory / "floor", os.O_CREAT | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.close(descriptor)
    return 0


def measure(
    work: Callable[[Path, int, int], int], directory: Path, rounds: int, processes: int
) -> tuple[float, int]:
    """Run *work* in all processes; returns seconds and the sum of what they returned."""
    share = -(-rounds // processes)
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        started = time.perf_counter()
        results = pool.starmap(work, [(directory, worker, share) for worker in range(processes)], 1)
        return time.perf_counter() - started, sum(results)


def median_ms(action: Callable[[], None], count: int = 50) -> float:
    """Return the median time of *action* in milliseconds."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        floor, _ = measure(flock_rounds, directory, rounds, processes)
        seconds, collisions = measure(lease_rounds, directory, rounds, processes)
        print(f"{rounds} round trips by {processes} processes: {seconds:.2f} s")
        print(f"{rounds / seconds:.0f}/s (goal 200/s), {collisions} collisions")
        print(f"floor, bare flocks: {rounds / floor:.0f}/s; ratio {seconds / floor:.1f}")
        path = directory / "file"
        durable = median_ms(lambda: files.write_atomic(path, b"x" * 1000))
        quick = median_ms(lambda: files.write_atomic(path, b"x" * 1000, durable=False))
        print(f"write_atomic: {durable:.2f} ms, {quick:.2f} ms without fsync (medians of 50)")
        if collisions:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
