"""The ``<cpu>`` element of a domain, by Lago's rules.

Without a wish the guest sees the host's CPU, in as many sockets as it has virtual CPUs, spread
over NUMA cells. A model is matched exactly and can nest where the host's CPU can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.errors import VMError
from lago_sdk.plan.facts import Accel
from lago_sdk.render.elements import add

if TYPE_CHECKING:
    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import VMPlan

_NESTING = {"Intel": "vmx", "AMD": "svm"}
"""The flag of each vendor's CPUs that lets a guest run guests."""


def render_cpu(vm: VMPlan, facts: HostFacts) -> ET.Element:
    """Return the ``<cpu>`` element of *vm*.

    Raises:
        VMError: ``cpu_custom`` holds something that XML cannot say.
    """
    if vm.spec.cpu_custom is not None:
        return _render_custom(vm, vm.spec.cpu_custom)
    if vm.spec.cpu_model is not None:
        cpu = _render_model(vm.spec.cpu_model, facts)
        _add_topology(cpu, count_vcpu_places(vm))
        return cpu
    mode = "host-passthrough" if facts.accel is Accel.KVM else "maximum"
    cpu = ET.Element("cpu", {"mode": mode})
    _add_topology(cpu, count_vcpu_places(vm))
    if count_vcpu_places(vm) > 1:
        _add_numa(cpu, vm)
    return cpu


def count_vcpu_places(vm: VMPlan) -> int:
    """Return how many virtual CPUs *vm* can be given while it runs."""
    return vm.spec.max_vcpu or vm.spec.vcpu


def get_most_memory(vm: VMPlan) -> int:
    """Return the MiB that *vm* can be given while it runs: with so many it boots."""
    return vm.spec.max_memory or vm.spec.memory


def numa_cell_sizes(vcpu: int) -> tuple[int, ...]:
    """Return how many virtual CPUs each NUMA cell of a guest has."""
    if vcpu == 4:
        return (2, 2)
    if vcpu % 4 == 0:
        size = 4
    elif vcpu % 4 == 2 and vcpu > 2:
        size = 2
    else:
        size = 1
    return (size,) * (vcpu // size)


def _add_topology(cpu: ET.Element, vcpu: int) -> None:
    add(cpu, "topology", {"sockets": str(vcpu), "cores": "1", "threads": "1"})


def _add_numa(cpu: ET.Element, vm: VMPlan) -> None:
    """Spread CPUs and memory evenly; libvirt wants whole MiB in each cell."""
    sizes = numa_cell_sizes(count_vcpu_places(vm))
    share, rest = divmod(get_most_memory(vm), len(sizes))
    numa = add(cpu, "numa")
    first = 0
    for index, size in enumerate(sizes):
        last = first + size - 1
        add(
            numa,
            "cell",
            {
                "id": str(index),
                "cpus": str(first) if size == 1 else f"{first}-{last}",
                "memory": str(share + (1 if index < rest else 0)),
                "unit": "MiB",
            },
        )
        first = last + 1


def _render_model(name: str, facts: HostFacts) -> ET.Element:
    cpu = ET.Element("cpu", {"mode": "custom", "match": "exact"})
    add(cpu, "model", {"fallback": "forbid"}, text=name)
    vendor = next((model.vendor for model in facts.cpu_models if model.name == name), "generic")
    flag = _NESTING.get(vendor)
    nests = facts.accel is Accel.KVM and vendor == facts.cpu_vendor and flag in facts.cpu_flags
    if flag is not None and nests:
        add(cpu, "feature", {"policy": "require", "name": flag})
    return cpu


def _render_custom(vm: VMPlan, custom: Mapping[str, object]) -> ET.Element:
    inner = custom.get("cpu")
    if len(custom) == 1 and isinstance(inner, Mapping):
        custom = inner
    cpu = ET.Element("cpu")
    _fill(vm.name, cpu, custom)
    if cpu.find("topology") is None:
        _add_topology(cpu, count_vcpu_places(vm))
    return cpu


def _fill(vm: str, element: ET.Element, value: object) -> None:
    """Put *value* into *element* as xmltodict would: ``@name``, ``#text``, lists repeat."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        element.text = _text(vm, element.tag, value)
        return
    for name, inner in value.items():
        if not isinstance(name, str):
            raise VMError(vm, f"cpu_custom of {vm!r}: the key {name!r} is not a string")
        if name.startswith("@"):
            element.set(name[1:], _text(vm, name, inner))
        elif name == "#text":
            element.text = _text(vm, name, inner)
        else:
            many = isinstance(inner, Sequence) and not isinstance(inner, str)
            for item in inner if many else (inner,):
                _fill(vm, add(element, name), item)


def _text(vm: str, name: str, value: object) -> str:
    """Return a scalar as XML writes it; YAML's ``on`` and ``yes`` arrive as booleans."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    raise VMError(vm, f"cpu_custom of {vm!r}: {name!r} cannot be {type(value).__name__}")
