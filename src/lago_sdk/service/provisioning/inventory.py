"""The prefix as an Ansible inventory: its VMs, how to log in to them, and their groups."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lago_sdk.codec.dump import unstructure_spec
from lago_sdk.errors import LagoError, suggest
from lago_sdk.events import Note
from lago_sdk.plan.planner import find_fact
from lago_sdk.render.ansible import (
    InventoryFormat,
    InventoryHost,
    find_part,
    find_value,
    list_groups,
    list_parts,
    render_host,
    render_inventory,
)
from lago_sdk.service.guests.reach import find_address, ssh_target
from lago_sdk.service.provisioning.ssh_config import write_ssh_config
from lago_sdk.service.select import select_vms
from lago_sdk.spec.prefix import PrefixSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lago_sdk.plan.models import DiskPlan, VMPlan
    from lago_sdk.service.context import PrefixContext

DEFAULT_KEYS = ("vm-type", "groups", "vm-provider")
"""Lago's."""
_FILES: dict[str, str] = {"ini": "hosts", "yaml": "hosts.yaml"}
_UNTOLD = ("root-password", "ssh-password", "user-data")
"""Keys of a VM whose values are nobody's business, and make no group."""
_BULKY = "packages"
"""Fact of a template that lists all that is installed."""
_PYTHON = "/usr/bin/python3"
"""Where the package ``python3`` of every distribution has its interpreter."""


class Inventory:
    """The inventory of a prefix by some key paths.

    Args:
        context: The prefix.
        keys: Key paths into the description of a VM; Lago's ``vm-type``, ``groups`` and
            ``vm-provider`` for ``None``.

    Raises:
        LagoError: No VM has anything at one of the key paths.
    """

    def __init__(self, context: PrefixContext, keys: str | Iterable[str] | None = None) -> None:
        self._context = context
        named = (keys,) if isinstance(keys, str) else keys
        self._keys = DEFAULT_KEYS if named is None else tuple(named)
        self._facts = {vm.name: describe_vm(vm) for vm in context.plan.vms}
        self._numbers = {vm.name: number for number, vm in enumerate(context.plan.vms)}
        for key in self._keys if named is not None else ():
            _check_key(key, tuple(self._facts.values()))

    def render(self, form: InventoryFormat = "ini") -> str:
        """Return its text; VMs without an address are left out, and told of.

        Raises:
            LagoError: There is no such format, or the ``ssh_config`` cannot be written.
        """
        if form not in get_args(InventoryFormat):
            hint = suggest(form, get_args(InventoryFormat))
            raise LagoError(f"there is no inventory format {form!r}", hint=hint)
        missing = [vm.name for vm in self._context.plan.vms if find_address(vm) is None]
        if missing:
            names = ", ".join(missing)
            self._context.world.observe(Note(message=f"not in the inventory: {names} (no address)"))
        return render_inventory(self._list_hosts(), form)

    def render_host(self, name: str) -> str:
        """Return the variables of one VM as JSON, as ``--host`` of a dynamic inventory.

        Raises:
            VMNotFoundError: There is no VM of that name.
            VMError: It has no address.
        """
        vm = self._context.plan.get_vm(name)
        return render_host(self._describe(vm), self._list_hosts())

    @contextmanager
    def write(self, form: InventoryFormat = "ini") -> Iterator[Path]:
        """Have the inventory in a file for the block.

        Raises:
            LagoError: Ansible reads no file of that format.
        """
        if form not in _FILES:
            message = f"Ansible reads no inventory files of the format {form!r}"
            raise LagoError(message, hint=suggest(form, _FILES))
        with tempfile.TemporaryDirectory(prefix="lago-ansible-") as directory:
            path = Path(directory, _FILES[form])
            path.write_text(self.render(form), encoding="utf-8")
            yield path

    def _list_hosts(self) -> tuple[InventoryHost, ...]:
        context = self._context
        write_ssh_config(context.plan, layout=context.layout, world=context.world)
        vms = select_vms(context.plan, None)
        return tuple(self._describe(vm) for vm in vms if find_address(vm) is not None)

    def _describe(self, vm: VMPlan) -> InventoryHost:
        by_key = list_groups(self._facts[vm.name], self._keys)
        groups = tuple(dict.fromkeys((*by_key, *vm.spec.groups)))
        variables = describe_login(vm, self._numbers[vm.name], self._context)
        return InventoryHost(name=vm.name, groups=groups, variables=variables)


def describe_login(vm: VMPlan, number: int, context: PrefixContext) -> dict[str, object]:
    """Return the variables by which Ansible logs in to *vm*, the prefix's VM number *number*.

    Raises:
        VMError: It has no address.
    """
    target = ssh_target(vm, context.layout)
    variables: dict[str, object] = {
        "ansible_host": target.address,
        "ansible_port": target.port,
        "ansible_user": target.user,
        # Handed to ssh as it is, which sees a token in each "%".
        "ansible_ssh_private_key_file": str(target.key_path).replace("%", "%%"),
        "ansible_ssh_common_args": shlex.join(["-F", str(context.layout.ssh_config)]),
        # Ansible keeps connections by address, port and user: those of two labs with the same
        # addresses must not be taken for each other. The path of a socket has to be short.
        "ansible_control_path": f"%(directory)s/{context.plan.uuid[:8]}-{number}-%%p-%%r",
    }
    python = find_python(vm.disks)
    if python is not None:
        variables["ansible_python_interpreter"] = python
    return variables


def find_python(disks: Sequence[DiskPlan]) -> str | None:
    """Return the guest's Python, where its first disk's facts or its template's tell."""
    told = find_fact(disks, "python")
    if told is not None or not disks or disks[0].backing is None:
        return told
    packages = disks[0].backing.metadata.get(_BULKY)
    return _PYTHON if find_part(packages, "python3") is not None else None


def describe_vm(vm: VMPlan) -> dict[str, object]:
    """Return what is known of *vm*, by the keys of an init file; without passwords."""
    spec = PrefixSpec(vms=(vm.spec,), nets=())
    facts: dict[str, object] = {
        "name": vm.name,
        "vm-type": "default",
        "vm-provider": "local-libvirt",
        "ssh-user": vm.ssh_user,
        "distro": vm.distro,
        **unstructure_spec(spec)["domains"][vm.name],
        "memory": vm.spec.memory,
        "vcpu": vm.spec.vcpu,
    }
    nics: list[dict[str, object]] = [
        {"mac": nic.mac, "ip": _text(nic.ip or nic.ip6)} for nic in vm.nics
    ]
    disks: list[dict[str, object]] = [
        {"name": disk.name, "dev": disk.dev, "format": disk.format.value}
        | {"metadata": _disk_metadata(disk)}
        for disk in vm.disks
    ]
    for key, decided in (("nics", nics), ("disks", disks)):
        asked = facts.get(key, [])
        assert isinstance(asked, list)
        nothing: dict[str, object] = {}
        pairs = zip_longest(asked, decided, fillvalue=nothing)
        facts[key] = [{**wanted, **planned} for wanted, planned in pairs]
    return {key: value for key, value in facts.items() if key not in _UNTOLD}


def _disk_metadata(disk: DiskPlan) -> dict[str, object]:
    below: Mapping[str, object] = {} if disk.backing is None else disk.backing.metadata
    known = {**below, **disk.spec.metadata}
    return {key: value for key, value in known.items() if key != _BULKY}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _check_key(key: str, facts: Sequence[Mapping[str, object]]) -> None:
    """Check that a VM has something at the key path *key*, or could have.

    Raises:
        LagoError: None has; the hint names what comes close.
    """
    if key.strip("/") in DEFAULT_KEYS or any(find_value(vm, key) is not None for vm in facts):
        return
    parts = [part for part in key.split("/") if part]
    known: dict[str, None] = {}
    for depth, part in enumerate(parts):
        above = "/".join(parts[:depth])
        known = {name: None for vm in facts for name in list_parts(find_value(vm, above))}
        if part not in known:
            break
    message = f"no VM has anything at the key path {key!r}"
    raise LagoError(message, hint=suggest(part, known) if parts else None)
