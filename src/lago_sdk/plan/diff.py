"""What is left to do to bring a planned prefix up, given what runs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import Plan


@attrs.frozen(kw_only=True)
class PlanDiff:
    """A plan against what was observed; all names in the plan's order."""

    nets_to_start: tuple[str, ...] = ()
    nets_up: tuple[str, ...] = ()
    vms_to_start: tuple[str, ...] = ()
    vms_to_resume: tuple[str, ...] = ()
    """VMs that are there and stand still: paused, or suspended by their guest."""
    vms_up: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    """Domains and networks of the prefix that its plan does not have, sorted."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do: everything planned is up."""
        return not (self.nets_to_start or self.vms_to_start or self.vms_to_resume)


_STANDING = frozenset({VMState.PAUSED, VMState.SUSPENDED})


def diff_plan(
    plan: Plan, *, domains: Mapping[str, VMState], networks: Mapping[str, NetState]
) -> PlanDiff:
    """Compare *plan* with what its host has.

    Args:
        plan: What should be up.
        domains: State of the prefix's domains by libvirt's name; absent ones are down.
        networks: State of the prefix's networks by libvirt's name; absent ones are down.
    """
    nets = {net.name: networks.get(net.network, NetState.DOWN) for net in plan.nets}
    vms = {vm.name: domains.get(vm.domain, VMState.DOWN) for vm in plan.vms}
    known = {net.network for net in plan.nets} | {vm.domain for vm in plan.vms}
    return PlanDiff(
        nets_to_start=tuple(name for name, state in nets.items() if not state.is_active),
        nets_up=tuple(name for name, state in nets.items() if state.is_active),
        vms_to_start=tuple(name for name, state in vms.items() if not state.is_active),
        vms_to_resume=tuple(name for name, state in vms.items() if state in _STANDING),
        vms_up=tuple(
            name for name, state in vms.items() if state.is_active and state not in _STANDING
        ),
        strangers=tuple(sorted((domains.keys() | networks.keys()) - known)),
    )
