"""The prefix's ``ssh_config``: by it ssh, scp, rsync, Ansible and editors reach every guest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError
from lago_sdk.events import Note
from lago_sdk.ports import HostKind
from lago_sdk.render.ssh_config import SSHHost, render_ssh_config
from lago_sdk.service.guests.reach import find_address, ssh_target
from lago_sdk.service.select import select_vms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World


def write_ssh_config(plan: Plan, *, layout: PrefixLayout, world: World) -> None:
    """Make the file right: at creation, and whenever the prefix may have moved or changed.

    Raises:
        LagoError: It cannot be written, or hold the prefix's path.
    """
    text = get_ssh_config(plan, layout=layout, world=world)
    data = os.fsencode(text)
    try:
        is_right = layout.ssh_config.read_bytes() == data
    except OSError:
        is_right = False
    if not is_right:
        world.files.write_atomic(layout.ssh_config, data)


def try_write_ssh_config(plan: Plan, *, layout: PrefixLayout, world: World) -> None:
    """As `write_ssh_config`, where the lab is what matters: a failure is only told."""
    try:
        write_ssh_config(plan, layout=layout, world=world)
    except LagoError as error:
        message = f"other tools cannot use the prefix: {error}"
        world.observe(Note(message=message, warning=True))


def get_ssh_config(
    plan: Plan,
    *,
    layout: PrefixLayout,
    world: World,
    names: Iterable[str] | None = None,
    relay: bool = False,
) -> str:
    """Return the text for the VMs called *names*; all that have an address for ``None``.

    Args:
        plan: The prefix's plan.
        layout: Where the prefix lies.
        world: The ports.
        names: Names of VMs.
        relay: Have the proxy pass on bytes instead of handing over a socket.

    Raises:
        VMNotFoundError: There is no VM of one of the names.
        VMError: A VM that is named has no address.
        LagoError: Such a file cannot hold the prefix's path.
    """
    vms = select_vms(plan, names)
    if names is None:
        vms = tuple(vm for vm in vms if find_address(vm) is not None)
    pinned = _list_pinned(layout)
    hosts = [
        _describe(vm, layout=layout, world=world, is_pinned=vm.name in pinned, relay=relay)
        for vm in vms
    ]
    return render_ssh_config(hosts, path=str(layout.ssh_config))


def _describe(
    vm: VMPlan, *, layout: PrefixLayout, world: World, is_pinned: bool, relay: bool
) -> SSHHost:
    target = ssh_target(vm, layout)
    full = f"{vm.hostname}.{vm.dns_domain}" if vm.dns_domain else vm.hostname
    proxy: tuple[str, ...] = ()
    if world.host.kind is HostKind.PRIVATE and not vm.is_remote:
        options = ("--relay",) if relay else ()
        words = (str(layout.path), target.address, str(target.port), vm.name)
        proxy = (*world.proxy, *options, *words)
    return SSHHost(
        aliases=tuple(dict.fromkeys((vm.name, full, target.address))),
        address=target.address,
        port=target.port,
        user=target.user,
        key_path=str(target.key_path or layout.private_key),
        known_hosts=str(target.host_keys_path),
        host_key_alias=target.host_key_alias,
        is_pinned=is_pinned,
        proxy=proxy,
        passes_socket=not relay,
    )


def _list_pinned(layout: PrefixLayout) -> frozenset[str]:
    """Return the VMs whose host keys are on record: the first word of each line."""
    try:
        lines = layout.known_hosts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.partition(" ")[0] for line in lines)
