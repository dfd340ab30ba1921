"""Machines that are not on the prefix's host: who runs them, and what is seen of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, SpecError, VMError
from lago_sdk.events import Note
from lago_sdk.plan.models import SSH_PROVIDER, is_remote
from lago_sdk.ports import BUILT_IN, DomainInfo, Machine, PluginKind
from lago_sdk.service.guests.reach import find_address
from lago_sdk.service.observing.states import left_alone
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.plugged.shapes import accept_vm_provider
from lago_sdk.spec.problems import Problem
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Dial, Plugins, VMProvider
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_SECONDS = 2.0
"""For a machine that is there to accept a connection."""
LOOKS_AT_ONCE = 32


class SSHMachines:
    """Machines that are there already (``vm-provider: ssh``): all we see is whether ssh answers.

    Args:
        dial: Connects by this machine's own routes.
    """

    name = SSH_PROVIDER
    has_power = False

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def find_address(self, vm: VMSpec) -> tuple[str, int] | None:
        """See `VMProvider.find_address`."""
        return None if vm.ssh_host is None else (vm.ssh_host, vm.ssh_port)

    def find_state(self, vm: VMPlan) -> Machine:
        """See `VMProvider.find_state`; one that does not answer may be off or unreachable."""
        address = find_address(vm)
        if address is None:
            return Machine(state=VMState.UNKNOWN, reason="it has no address")
        place = f"{address} port {vm.spec.ssh_port}"
        try:
            self._dial(address, vm.spec.ssh_port, _SECONDS).close()
        except OSError as error:
            why = "refused" if isinstance(error, ConnectionRefusedError) else "no answer"
            return Machine(state=VMState.UNKNOWN, reason=f"{why} at {place}")
        return Machine(state=VMState.RUNNING, reason=f"it answers at {place}")

    def start(self, vm: VMPlan) -> bool:
        """See `VMProvider.start`.

        Raises:
            VMError: Always.
        """
        raise left_alone(vm)

    def stop(self, vm: VMPlan) -> bool:
        """See `VMProvider.stop`.

        Raises:
            VMError: Always.
        """
        raise left_alone(vm)

    def shutdown(self, vm: VMPlan, *, timeout: float) -> bool:  # noqa: ARG002 - the port's
        """See `VMProvider.shutdown`.

        Raises:
            VMError: Always.
        """
        raise left_alone(vm)


def get_provider(vm: VMPlan, world: World) -> VMProvider:
    """Return what runs *vm*, which is remote.

    Raises:
        VMError: No plugin that works has that name.
    """
    if vm.provider == SSH_PROVIDER:
        return SSHMachines(world.dial_outside)
    found = _find_plugin(vm.provider, world.plugins)
    if found is None:
        message = f"nothing here provides {vm.name!r} (vm-provider: {vm.provider})"
        raise VMError(vm.name, message, hint="install the plugin again; lagoctl doctor lists them")
    return found


def _find_plugin(name: str, plugins: Plugins) -> VMProvider | None:
    return plugins.find(PluginKind.VM_PROVIDER, name, lambda value: accept_vm_provider(value, name))


def settle_machines(spec: PrefixSpec, plugins: Plugins) -> PrefixSpec:
    """Return *spec* with the addresses of machines whose providers know them.

    Raises:
        SpecError: There is no such provider; carries a problem for each VM.
        LagoError: A provider cannot tell.
    """
    problems: list[Problem] = []
    vms = []
    for vm in spec.vms:
        name = vm.vm_provider
        if name is None or not is_remote(vm) or name == SSH_PROVIDER:
            vms.append(vm)
            continue
        provider = _find_plugin(name, plugins)
        if provider is None:
            problems.append(_unknown_provider(vm.name, name, plugins))
        else:
            vms.append(_add_address(vm, provider))
    if problems:
        raise SpecError(problems)
    return attrs.evolve(spec, vms=tuple(vms))


def _add_address(vm: VMSpec, provider: VMProvider) -> VMSpec:
    found = None if vm.ssh_host is not None else provider.find_address(vm)
    if found is None:
        return vm
    address, port = found
    return attrs.evolve(vm, ssh_host=address, ssh_port=port)


def _unknown_provider(vm: str, name: str, plugins: Plugins) -> Problem:
    kind = PluginKind.VM_PROVIDER
    known = sorted({*BUILT_IN[kind], *plugins.list_names(kind)} - {name})
    return Problem(
        message=f"there is no vm-provider {name!r} that works",
        path=("domains", vm, "vm-provider"),
        hint=f"there are: {', '.join(known)}; lagoctl doctor tells what is wrong with plugins",
        code="unknown-choice",
    )


def observe_remote(vms: Iterable[VMPlan], world: World) -> dict[str, DomainInfo]:
    """Return the state of the remote ones among *vms*, by name."""

    def look(vm: VMPlan) -> DomainInfo:
        try:
            seen = get_provider(vm, world).find_state(vm)
        except LagoError as error:
            seen = Machine(state=VMState.UNKNOWN, reason=error.message)
        return DomainInfo(name="", uuid="", state=seen.state, reason=seen.reason)

    remote = [vm for vm in vms if vm.is_remote]
    found = run_parallel(look, remote, limit=LOOKS_AT_ONCE, message="several VMs were not seen")
    return {vm.name: info for vm, info in zip(remote, found, strict=True)}


def list_powered(
    vms: Sequence[VMPlan], world: World, *, are_named: bool, wish: str
) -> tuple[tuple[VMPlan, VMProvider], ...]:
    """Return the remote ones among *vms* that can be powered, each with its provider.

    Others are told of.

    Args:
        vms: The VMs that the user spoke of.
        world: The ports.
        are_named: Whether the user named them.
        wish: What is wanted of them, for the message: ``"stopped"``.

    Raises:
        VMError: One that is named cannot be powered.
    """
    found: list[tuple[VMPlan, VMProvider]] = []
    others = []
    for vm in (vm for vm in vms if vm.is_remote):
        provider = get_provider(vm, world)
        if provider.has_power:
            found.append((vm, provider))
        elif are_named:
            raise left_alone(vm)
        else:
            others.append(vm)
    if others:
        names = ", ".join(vm.name for vm in others)
        providers = ", ".join(sorted({vm.provider for vm in others}))
        text = f"not {wish}, as somebody else runs it: {names} (vm-provider: {providers})"
        world.observe(Note(message=text))
    return tuple(found)
