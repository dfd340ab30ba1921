"""A cold and a warm fetch of a sparse image, beside ``curl | xz -d | sha256sum``.

Makes an image of 1 GiB, a fifth of it content that compresses like programs do and the rest
holes, serves it on 127.0.0.1, and measures both in turns in fresh processes. The floor does not
even store the image; the fetch stores it sparsely and syncs it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BUDGET = 1.2
MEMORY_BUDGET = 100
BLOCK = 1 << 20
FETCH = """
import resource, sys, time
from pathlib import Path
from lago_sdk import Config, fetch_template
root = Path(sys.argv[1])
begin = time.perf_counter()
fetch_template("big", config=Config(template_store=root / "store", template_repos=root / "repos"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(time.perf_counter() - begin, peak // 1024, child // 1024)
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def write_image(path: Path, size: int) -> None:
    """Write a sparse image: every fifth mebibyte is words that repeat now and then."""
    chance = random.Random(1)
    words = [chance.randbytes(chance.randint(4, 40)) for _ in range(4000)]
    with path.open("wb") as file:
        for offset in range(0, size, 5 * BLOCK):
            file.seek(offset)
            file.write(b"".join(chance.choices(words, k=48000))[:BLOCK])
        file.truncate(size)


def publish(root: Path, size: int, kind: str, level: int, url: str) -> None:
    """Put the image, its digest and its repository where the server finds them."""
    image = root / "web" / "big.raw"
    write_image(image, size)
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    (root / "web" / "big.raw.hash").write_text(digest)
    options = ["-T2"] if kind == "xz" else ["--rm"]
    subprocess.run([kind, "-q", f"-{level}", *options, str(image)], check=True)
    version = {"source": "here", "handle": "big.raw", "timestamp": 1}
    document = {
        "name": "bench",
        "sources": {"here": {"type": "http", "args": {"baseurl": url}}},
        "templates": {"big": {"versions": {"1": version}}},
    }
    (root / "repos" / "bench.json").write_text(json.dumps(document))


def run_floor(url: str, kind: str) -> float:
    """Return the seconds that the pipeline of programs takes."""
    begin = time.perf_counter()
    script = f"curl -s {url}/big.raw.{'xz' if kind == 'xz' else 'zst'} | {kind} -dc | sha256sum"
    subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def run_fetch(root: Path) -> tuple[float, int, int]:
    """Return seconds, and the peak memory of ours and of helpers in MiB, of a fetch."""
    argv = [sys.executable, "-c", FETCH, str(root)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    return float(told[0]), int(told[1]), int(told[2])


def main() -> None:
    """Print medians, the ratio and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=["xz", "zstd"], default="xz")
    parser.add_argument("--level", type=int, default=6, help="9 has xz's largest dictionary")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lago-bench-", dir="/var/tmp") as directory:
        root = Path(directory)
        (root / "web").mkdir()
        (root / "repos").mkdir()
        handler = partial(Quiet, directory=str(root / "web"))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        publish(root, asked.mebibytes << 20, asked.kind, asked.level, url)
        floors, colds, peaks = [], [], []
        for _ in range(asked.rounds):
            floors.append(run_floor(url, asked.kind))
            shutil.rmtree(root / "store", ignore_errors=True)
            seconds, peak, child = run_fetch(root)
            colds.append(seconds)
            peaks.append(max(peak, child))
        warm = run_fetch(root)[0]
        server.shutdown()
    floor, cold = statistics.median(floors), statistics.median(colds)
    print(f"curl | {asked.kind} -d | sha256sum: {floor:.2f} s ({os.cpu_count()} processors)")
    print(f"cold fetch: {cold:.2f} s, ratio {cold / floor:.2f} (budget {BUDGET})")
    print(f"warm fetch: {warm:.3f} s")
    print(f"peak memory: {max(peaks)} MiB (budget {MEMORY_BUDGET})")
    print(f"own peak here: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    sys.exit(cold / floor > BUDGET or max(peaks) > MEMORY_BUDGET)


if __name__ == "__main__":
    main()
