"""Seeds: what a guest is given at its first boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.render.cloud_init import render_seed

if TYPE_CHECKING:
    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World


def create_seed(
    vm: VMPlan, *, plan: Plan, public_key: str, layout: PrefixLayout, world: World
) -> None:
    """Make the seed of *vm* with a host key of its own, and pin that key.

    The key is pinned before the seed exists, so a seed that is there has its key on record.
    """
    if vm.seed is None:
        return
    path = layout.path / vm.seed
    if path.exists():
        return
    private, public = world.keys.generate_host_key(f"{vm.name}-host-key")
    world.keys.pin_host_key(layout.known_hosts, vm.name, public)
    files = render_seed(
        vm,
        nets={net.name: net for net in plan.nets},
        public_keys=[public_key],
        host_key_private=private,
        host_key_public=public,
    )
    world.seeds.create_seed(path, files)
