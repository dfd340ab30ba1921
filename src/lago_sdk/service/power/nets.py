"""Starting and stopping single nets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.errors import HypervisorError, NetInUseError
from lago_sdk.events import stage
from lago_sdk.ports import HostKind
from lago_sdk.render.network import render_network
from lago_sdk.service.making.features import check_bridges
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import run_parallel
from lago_sdk.state import NetState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lago_sdk.plan.models import NetPlan
    from lago_sdk.ports import Hypervisor
    from lago_sdk.service.context import PrefixContext

_AT_ONCE = 4


def create_nets(
    nets: Sequence[NetPlan], context: PrefixContext, undo: list[Callable[[], None]]
) -> None:
    """Start nets that are down.

    Args:
        nets: Which.
        context: The prefix, whose host is up.
        undo: Takes up what would take each of them back.

    Raises:
        HypervisorError: libvirt refuses one.
        ExceptionGroup: It refuses several.
    """
    if not nets:
        return
    check_bridges(nets, context.world.host)
    hypervisor = context.hypervisor

    def create(net: NetPlan) -> None:
        with context.journal.step("start net", net.name):
            _check_free(net, hypervisor)
            undo.append(partial(hypervisor.remove_network, net.network))
            hypervisor.create_network(render_network(net, prefix_uuid=context.plan.uuid))

    with stage(context.world.observe, "start nets", ", ".join(net.name for net in nets)):
        run_parallel(create, nets, limit=_AT_ONCE, message="several nets did not start")


def _check_free(net: NetPlan, hypervisor: Hypervisor) -> None:
    """Return when the network is not there; it was not when we looked for those of the prefix.

    Raises:
        HypervisorError: Somebody else's network has its name.
    """
    if hypervisor.find_network(net.network) is NetState.UP:
        message = f"the net {net.name!r} cannot be started: a network {net.network!r} runs already"
        raise HypervisorError(message, hint="virsh net-list shows it; destroy whatever made it")


def stop_net(context: PrefixContext, net: NetPlan) -> bool:
    """Stop a net that no VM uses, and a private host on which nothing is left.

    Returns:
        Whether it was up.

    Raises:
        NetInUseError: VMs that run are plugged into it; names them.
        HostError: The host's libvirtd does not answer.
    """
    host = context.world.host
    seen = observe(context.plan, host)
    if not seen.nets[net.name].is_active:
        return False
    active = [vm for vm in context.plan.vms if seen.is_active(vm.name)]
    users = [vm.name for vm in active if any(nic.net == net.name for nic in vm.nics)]
    if users:
        raise NetInUseError(net.name, users)
    remove_net(net, context)
    is_last = not any(state.is_active for name, state in seen.nets.items() if name != net.name)
    if host.kind is HostKind.PRIVATE and is_last and not active:
        end_host(context)
    return True


def remove_net(net: NetPlan, context: PrefixContext) -> None:
    """Stop a net."""
    with (
        stage(context.world.observe, "stop net", net.name),
        context.journal.step("stop net", net.name),
    ):
        context.hypervisor.remove_network(net.network)


def end_host(context: PrefixContext) -> None:
    """End a private host with all that runs in it."""
    with stage(context.world.observe, "end host"), context.journal.step("end host"):
        context.world.host.end()
