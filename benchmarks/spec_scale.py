"""How the time to load and validate an init file grows with the number of VMs.

Prints, for 10 to 10,000 VMs with four nics each: milliseconds to read the text into a checked
spec, from YAML and from JSON, beside a floor measured in the same run (libyaml's events alone,
``json.loads`` alone), to write it and to plan it, and microseconds per VM, which stay level when
the growth is linear.

Run: ``python benchmarks/spec_scale.py [--largest N]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from typing import TYPE_CHECKING

from lago_sdk.codec import check_text, dumps_spec, loads_spec
from lago_sdk.plan.planner import plan_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (10, 100, 1_000, 10_000)
NETS = 4


def make_text(vms: int) -> str:
    """Return the YAML text of a prefix of *vms* VMs on four nets."""
    lines = ["nets:"]
    for net in range(NETS):
        lines += [f"  net{net}:", f"    subnet: 10.{net}.0.0/16"]
        lines += ["    dhcp: {start: 60000, end: 65000}"]
        lines += ["    management: true"] * (net == 0)
    lines.append("domains:")
    for vm in range(vms):
        lines += [f"  vm{vm}:", "    memory: 512", "    vcpu: 1", "    nics:"]
        lines += [f"      - net: net{net}" for net in range(NETS)]
        lines += ["    disks:", "      - name: root", "        type: template"]
        lines += ["        template_name: tiny"]
    return "\n".join(lines) + "\n"


def best(work: Callable[[], object], rounds: int) -> float:
    """Return the seconds of the fastest of *rounds* runs."""
    seconds = []
    for _ in range(rounds):
        gc.collect()
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def yaml_floor(text: str) -> None:
    """Let libyaml make its events and throw them away."""
    from ruamel.yaml.cyaml import CParser

    parser = CParser(text)
    while parser.check_event():
        parser.get_event()


def measure(vms: int) -> dict[str, float]:
    """Return the seconds of each kind of work for *vms* VMs."""
    text = make_text(vms)
    spec = loads_spec(text)
    assert len(spec.vms) == vms
    as_json = json.dumps(_as_mapping(spec.dumps()))
    rounds = 5 if vms <= 1_000 else 2
    return {
        "yaml": best(lambda: check_text(text), rounds),
        "yaml floor": best(lambda: yaml_floor(text), rounds),
        "json": best(lambda: check_text(as_json), rounds),
        "json floor": best(lambda: json.loads(as_json), rounds),
        "dumps": best(lambda: dumps_spec(spec), rounds),
        "plan": best(lambda: plan_prefix(spec, uuid="0" * 32), rounds),
    }


def _as_mapping(text: str) -> object:
    from lago_sdk.codec.values import to_free_form
    from lago_sdk.codec.yaml_text import compose_yaml

    return to_free_form(compose_yaml(text).value)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="stop at this many VMs")
    largest = parser.parse_args().largest
    print(f"{'VMs':>6} {'work':<11} {'ms':>9} {'µs/VM':>8} {'of floor':>9}")
    for vms in (size for size in SIZES if size <= largest):
        seconds = measure(vms)
        for name, value in seconds.items():
            floor = seconds.get(f"{name} floor")
            ratio = f"{value / floor:8.1f}x" if floor else ""
            print(f"{vms:>6} {name:<11} {value * 1e3:>9.1f} {value / vms * 1e6:>8.0f} {ratio:>9}")


if __name__ == "__main__":
    main()
