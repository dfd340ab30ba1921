"""From a spec to the plan that this host can carry out."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import SubnetLeaseError
from lago_sdk.plan.facts import Taken
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.ports import HostKind
from lago_sdk.service.making.disks import find_images, find_own_images
from lago_sdk.service.making.features import check_features
from lago_sdk.service.making.known import learn_facts
from lago_sdk.service.making.settle import settle_spec

if TYPE_CHECKING:
    from lago_sdk.plan.models import Plan
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec

_LEASE_ATTEMPTS = 32
"""How often another process may snatch a subnet between our look and our reservation."""


def decide_plan(spec: PrefixSpec, *, uuid: str, layout: PrefixLayout, world: World) -> Plan:
    """Plan the prefix and, on a shared host, reserve its subnets.

    The plan's specs are settled: their paths are absolute, and appliances have their disks.

    Raises:
        SpecError: The spec cannot be planned.
        TemplateError: A template cannot be had.
        VMError: An image or appliance is missing or damaged.
        HostError: The host lacks what a VM asks for.
        SubnetLeaseError: The subnets asked for are taken, or none is left.
    """
    check_features(spec.vms, world.find_missing)
    spec = settle_spec(spec, layout=layout, world=world)
    images = find_images(spec, world.templates, fetch=True)
    images |= find_own_images(spec, images=world.images, templates=world.templates)
    images = learn_facts(spec, images, images=world.images, disks=world.disks)
    for attempt in range(_LEASE_ATTEMPTS):
        plan = plan_prefix(spec, uuid=uuid, taken=observe_taken(uuid, world), images=images)
        try:
            _lease_subnets(plan, layout=layout, world=world)
        except SubnetLeaseError:
            world.leases.release(uuid=uuid)
            if attempt == _LEASE_ATTEMPTS - 1:
                raise
            continue
        break
    return plan


def observe_taken(uuid: str, world: World) -> Taken:
    """Return what others than the prefix *uuid* use on its host."""
    if world.host.kind is HostKind.PRIVATE:
        return Taken()
    taken = world.host.taken()
    leased = {IPv4Network(subnet) for subnet in world.leases.taken(uuid=uuid)}
    return attrs.evolve(taken, subnets=taken.subnets | leased)


def _lease_subnets(plan: Plan, *, layout: PrefixLayout, world: World) -> None:
    if world.host.kind is HostKind.PRIVATE:
        return
    for net in plan.nets:
        if net.subnet is not None:
            world.leases.acquire(str(net.subnet), uuid_path=layout.uuid, uuid=plan.uuid)
