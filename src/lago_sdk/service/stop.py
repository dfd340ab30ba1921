"""Stopping, shutting down and destroying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, VMError
from lago_sdk.events import stage
from lago_sdk.ports import HostKind
from lago_sdk.service.parallel import Cancellation, run_parallel
from lago_sdk.service.select import select_nets, select_vms
from lago_sdk.service.status import is_ended, observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World

_STOPS_AT_ONCE = 8
_POLL = 0.1
"""Seconds between looks at a domain that is shutting down."""


def stop_vms(context: PrefixContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """Power off VMs at once, then the nets nobody uses any more, then an idle private host.

    Returns:
        The VMs that were running.

    Raises:
        HostError: The libvirtd of a shared host does not answer.
        HypervisorError: A VM or net cannot be stopped; the others are.
        ExceptionGroup: Several VMs cannot.
    """
    plan, world = context.plan, context.world
    vms = select_vms(plan, names)
    if is_ended(world.host):
        if len(vms) == len(plan.vms):
            # Whatever outlived a libvirtd that died: nobody can ask it, but it can be ended.
            _end_host(context)
        return ()
    seen = observe(plan, world.host)
    running = tuple(vm for vm in vms if seen.is_active(vm.name))
    hypervisor = context.hypervisor

    def stop_vm(vm: VMPlan) -> None:
        with context.journal.step("stop", vm.name):
            hypervisor.end_domain(vm.domain)

    if running:
        with stage(world.observe, "stop", ", ".join(vm.name for vm in running)):
            run_parallel(
                stop_vm,
                running,
                limit=_STOPS_AT_ONCE,
                message="several VMs did not stop",
                keep_going=True,
            )
    release_nets(context)
    return tuple(vm.name for vm in running)


def release_nets(context: PrefixContext) -> None:
    """Stop the nets that no active VM uses; end a private host on which nothing runs."""
    plan, world = context.plan, context.world
    host = world.host
    if is_ended(host):
        return
    seen = observe(plan, host)
    active = [vm for vm in plan.vms if seen.is_active(vm.name)]
    if not active and host.kind is HostKind.PRIVATE:
        with stage(world.observe, "end host"):
            _end_host(context)
        return
    used = {net.name for net in select_nets(plan, active)}
    for net in plan.nets:
        if net.name in used or not seen.nets[net.name].is_active:
            continue
        with stage(world.observe, "stop net", net.name), context.journal.step("stop net", net.name):
            context.hypervisor.remove_network(net.network)


def _end_host(context: PrefixContext) -> None:
    with context.journal.step("end host"):
        context.world.host.end()


def shut_down_vms(
    context: PrefixContext, names: Iterable[str] | None, *, timeout: float
) -> tuple[str, ...]:
    """Ask guests to power off and wait until they have; then as `stop_vms`.

    Args:
        context: The prefix; connections to the guests are closed.
        names: Which VMs; all for ``None``.
        timeout: Seconds a guest may take.

    Returns:
        The VMs that were running.

    Raises:
        VMError: A guest did not power off in time; it runs on.
        HostError: The libvirtd of a shared host does not answer.
        ExceptionGroup: Several VMs failed.
    """
    world = context.world
    vms = select_vms(context.plan, names)
    if is_ended(world.host):
        return ()
    seen = observe(context.plan, world.host)
    running = tuple(vm for vm in vms if seen.is_active(vm.name))
    cancellation = Cancellation()

    def shut_down(vm: VMPlan) -> None:
        with (
            stage(world.observe, "shut down", vm.name),
            context.journal.step("shut down", vm.name),
        ):
            context.guests.forget([vm.name])
            context.hypervisor.shutdown_domain(vm.domain)
            _wait_until_off(vm, timeout=timeout, world=world, cancellation=cancellation)

    # All are asked at once, or the deadline of some would be spent waiting for others.
    run_parallel(
        shut_down,
        running,
        limit=len(running),
        message="several VMs did not shut down",
        cancellation=cancellation,
        keep_going=True,
    )
    release_nets(context)
    return tuple(vm.name for vm in running)


def _wait_until_off(
    vm: VMPlan, *, timeout: float, world: World, cancellation: Cancellation
) -> None:
    deadline = world.clock.monotonic() + timeout
    while True:
        cancellation.check()
        info = world.host.hypervisor().find_domain(vm.domain)
        if info is None or not info.state.is_active:
            return
        remaining = deadline - world.clock.monotonic()
        if remaining <= 0:
            raise VMError(
                vm.name,
                f"{vm.name!r} did not power off within {timeout:g} s",
                hint=f"power it off at once: lagoctl stop {vm.name}",
            )
        world.clock.sleep(min(_POLL, remaining))


def destroy_prefix(uuid: str, *, layout: PrefixLayout, world: World) -> None:
    """Remove all that a prefix has on its host and on disk; idempotent.

    Works on a prefix whose creation was cut off: what runs is found by the prefix's uuid, not
    by what a plan says, whose names somebody else may have by now.

    Raises:
        HostError: The libvirtd of a shared host does not answer; nothing is removed then.
    """
    with stage(world.observe, "stop everything"):
        if world.host.kind is HostKind.PRIVATE:
            world.host.end()
        else:
            _remove_from_libvirt(uuid, world)
    world.host.close()
    with stage(world.observe, "remove files"):
        world.leases.release(uuid=uuid)
        _remove_files(layout, world)


def _remove_files(layout: PrefixLayout, world: World) -> None:
    """Remove the prefix's directory; cut off anywhere, it is a prefix that can be destroyed."""
    kept = {layout.uuid, layout.metadata}
    try:
        entries = sorted(layout.path.iterdir()) if layout.path.is_dir() else []
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                world.files.remove_tree(entry)
            elif entry not in kept and not entry.name.startswith("."):
                entry.unlink(missing_ok=True)
        layout.uuid.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot remove {str(layout.path)!r}: {error.strerror}"
        raise LagoError(message, hint="look at the owner and mode of the files in it") from error
    world.files.remove_tree(layout.path)


def _remove_from_libvirt(uuid: str, world: World) -> None:
    hypervisor = world.host.hypervisor()
    run_parallel(
        hypervisor.remove_domain,
        sorted(info.name for info in hypervisor.list_domains(uuid)),
        limit=_STOPS_AT_ONCE,
        message="several VMs could not be removed",
        keep_going=True,
    )
    for network in sorted(hypervisor.list_networks(uuid)):
        hypervisor.remove_network(network)
