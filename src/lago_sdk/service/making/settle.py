"""From what was asked to what is planned: settings, paths and appliances put into the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.service.making.ova import import_appliances
from lago_sdk.service.making.paths import path_variables, settle_paths
from lago_sdk.service.making.unpacking import unpack_images
from lago_sdk.service.observing.remote import settle_machines

if TYPE_CHECKING:
    from lago_sdk.config import Config
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_PLAIN_USER = "root"
"""The setting's default, which yields to what a template says of itself."""


def settle_spec(spec: PrefixSpec, *, layout: PrefixLayout, world: World) -> PrefixSpec:
    """Return *spec* with everything in it that the machine and the settings decide.

    Passwords and users that VMs lack are those of the settings, paths are absolute, domains of
    ``type: ova`` have the disks of their archives, and images below overlays are decompressed.

    Raises:
        SpecError: Files that are named are not there; carries all of them.
        VMError: An appliance cannot be imported, or a compressed image not be decompressed.
    """
    vms = tuple(apply_settings(vm, world.config) for vm in spec.vms)
    variables = path_variables(spec, layout, world.environ)
    settled = settle_paths(attrs.evolve(spec, vms=vms), variables)
    settled = settle_machines(settled, world.plugins)
    settled = unpack_images(settled, layout=layout, world=world)
    return import_appliances(settled, layout=layout, world=world)


def apply_settings(vm: VMSpec, config: Config) -> VMSpec:
    """Return *vm* with the settings' user and passwords where it names none.

    A user other than ``root`` in the settings wins over the one that a template tells.
    """
    user = config.ssh_user if config.ssh_user != _PLAIN_USER else None
    return attrs.evolve(
        vm,
        root_password=vm.root_password or config.default_root_password,
        ssh_password=vm.ssh_password or config.ssh_password,
        ssh_user=vm.ssh_user or user,
    )
