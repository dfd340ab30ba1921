"""How long planning takes, from 10 to 10,000 VMs with four nics each.

Prints milliseconds, microseconds per VM, and that number as a ratio of the smallest run's: it
stays near or below 1 when time grows linearly.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Network

from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import DhcpRange, EmptyDisk, NetSpec, NicSpec, PrefixSpec, TemplateDisk, VMSpec

_SIZES = (10, 100, 1_000, 10_000)
_NICS = 4
_BEST_OF = 5
_UUID = "0123456789abcdef" * 2


def make_spec(count: int) -> PrefixSpec:
    """Return a spec of *count* VMs, each on four /16 nets with DHCP."""
    nets = tuple(
        NetSpec(
            name=f"net-{number}",
            management=number == 0,
            dhcp=DhcpRange(start=100, end=254),
            subnet=IPv4Network(f"10.{number}.0.0/16"),
        )
        for number in range(_NICS)
    )
    nics = tuple(NicSpec(net=net.name) for net in nets)
    disks = (TemplateDisk(template_name="tiny"), EmptyDisk(size=1 << 30))
    vms = tuple(VMSpec(name=f"vm-{number}", nics=nics, disks=disks) for number in range(count))
    return PrefixSpec(nets=nets, vms=vms)


def measure(spec: PrefixSpec) -> float:
    """Return the seconds that the fastest of a few runs takes."""
    best = float("inf")
    for _ in range(_BEST_OF):
        begin = time.perf_counter()
        plan_prefix(spec, uuid=_UUID)
        best = min(best, time.perf_counter() - begin)
    return best


def main() -> None:
    """Measure and print."""
    first: float | None = None
    print(f"{'VMs':>8} {'nics':>8} {'ms':>10} {'us per VM':>10} {'ratio':>6}")
    for count in _SIZES:
        seconds = measure(make_spec(count))
        per_vm = seconds / count
        first = first or per_vm
        print(
            f"{count:>8,} {count * _NICS:>8,} {seconds * 1e3:>10.1f} {per_vm * 1e6:>10.1f} "
            f"{per_vm / first:>6.2f}"
        )


if __name__ == "__main__":
    main()
