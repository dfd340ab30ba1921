"""Seeds: what a guest is given at its first boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.render.cloud_init import render_seed
from lago_sdk.spec.vm import Bootstrap

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
    private, public = create_host_key(vm, layout=layout, world=world)
    files = render_seed(
        vm,
        nets={net.name: net for net in plan.nets},
        public_keys=[public_key],
        host_key_private=private,
        host_key_public=public,
    )
    world.seeds.create_seed(path, files)


def create_host_key(vm: VMPlan, *, layout: PrefixLayout, world: World) -> tuple[str, str]:
    """Make a host key for *vm* and pin it: its private text in OpenSSH's format, its public line.

    An earlier one, which no guest has, is pinned no more.
    """
    private, public = world.keys.generate_host_key(f"{vm.name}-host-key")
    world.keys.pin_host_key(layout.known_hosts, vm.name, public)
    return private, public


def read_public_keys(vm: VMPlan, layout: PrefixLayout) -> tuple[str, ...]:
    """Return the keys that the machine of *vm* tells its guest; most learn them otherwise."""
    if vm.bootstrap is not Bootstrap.CREDENTIALS:
        return ()
    return (layout.public_key.read_text(encoding="utf-8").strip(),)
