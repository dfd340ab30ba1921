"""What it costs to start: our imports and verbs beside those of Python itself, in one run.

Each command is a fresh process; they take turns, so that other load of the machine hits all alike.
``--help`` has typer as its floor, which imports what it does whoever uses it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGETS = {"import lago_sdk.Prefix": 60.0, "lagoctl --help": 155.0}
"""Milliseconds over bare Python, on a machine where bare Python takes 12."""
REFERENCE = 12.0


def list_commands() -> dict[str, list[str]]:
    """Return what is measured, by its name."""
    lagoctl = str(Path(sys.executable).with_name("lagoctl"))

    def python(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    return {
        "python": python("pass"),
        "import attrs": python("import attrs"),
        "import lago_sdk.Prefix": python("from lago_sdk import Prefix"),
        "import typer": python("import typer.core, typer.main"),
        "lagoctl --version": [lagoctl, "--version"],
        "lagoctl --help": [lagoctl, "--help"],
        "lagoctl status --help": [lagoctl, "status", "--help"],
        "lagoctl generate-config": [lagoctl, "generate-config"],
    }


def measure(argv: list[str], env: dict[str, str]) -> float:
    """Return the milliseconds of one run."""
    begin = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=env)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Print medians, what each takes over bare Python, and whether that is within its budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    commands = list_commands()
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="lago-bench-") as cache:
        # Compiled modules, as an installed package has them; the first round makes them.
        env = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds + 1):
            for name, argv in commands.items():
                times[name].append(measure(argv, env))
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}
    bare = medians["python"]
    failed = False
    for name, median in medians.items():
        over = median - bare
        line = f"{name:24} {median:6.1f} ms   over Python {over:6.1f} ms"
        if name in BUDGETS:
            budget = BUDGETS[name] * bare / REFERENCE
            failed |= over > budget
            line += f"   budget {budget:.0f} ms"
        print(line)
    sys.exit(failed)


if __name__ == "__main__":
    main()
