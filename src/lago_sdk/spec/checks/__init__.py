"""Checks over a whole spec: pure, and all problems at once.

The codec gives the problems line and column; a spec made in Python gets the same problems
without. Paths are those of the init file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.spec.checks.addresses import check_addresses
from lago_sdk.spec.checks.disks import check_disks
from lago_sdk.spec.checks.management import check_management
from lago_sdk.spec.checks.names import check_names
from lago_sdk.spec.checks.nets import check_nets
from lago_sdk.spec.checks.nics import check_nics
from lago_sdk.spec.checks.vms import check_vm
from lago_sdk.spec.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Problem


def check_spec(
    spec: PrefixSpec, plugins: Mapping[str, Collection[str]] | None = None
) -> tuple[Problem, ...]:
    """Return everything that is wrong with *spec*, errors and warnings; empty when it is sound.

    Args:
        spec: What was asked.
        plugins: Names that plugins add, by the key of the init file; ``None`` where nobody has
            looked: what only a plugin could know is then no more than odd.
    """
    sink = Sink()
    check_names(spec, sink)
    check_nets(spec, sink)
    check_management(spec, sink)
    check_nics(spec, sink)
    check_addresses(spec, sink)
    for vm in spec.vms:
        check_vm(vm, sink, plugins)
        check_disks(vm, sink)
    return tuple(sink.problems)


__all__ = ["check_spec"]
