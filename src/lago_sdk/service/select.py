"""Which VMs and nets a verb is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import NetPlan, Plan, VMPlan


def list_names(names: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return *names* as a tuple; a single name may be given as it is. ``None`` stays."""
    if names is None:
        return None
    return (names,) if isinstance(names, str) else tuple(names)


def select_vms(plan: Plan, names: Iterable[str] | None) -> tuple[VMPlan, ...]:
    """Return the VMs called *names*, each once and in the plan's order; all for ``None``.

    Raises:
        VMNotFoundError: There is no VM of one of the names.
    """
    if names is None:
        return plan.vms
    wanted = {plan.get_vm(name).name for name in names}
    return tuple(vm for vm in plan.vms if vm.name in wanted)


def select_nets(plan: Plan, vms: Iterable[VMPlan]) -> tuple[NetPlan, ...]:
    """Return the nets that *vms* are plugged into, in the plan's order."""
    used = {nic.net for vm in vms for nic in vm.nics}
    return tuple(net for net in plan.nets if net.name in used)
