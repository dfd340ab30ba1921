"""Stopping, shutting down and destroying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, VMError
from lago_sdk.events import Note, stage
from lago_sdk.ports import HostKind
from lago_sdk.service.observing.remote import LOOKS_AT_ONCE, list_powered
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import Cancellation, run_parallel
from lago_sdk.service.power.nets import end_host, remove_net
from lago_sdk.service.power.requests import POLL, ask_to_power_off, check_obeys
from lago_sdk.service.select import select_nets, select_vms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Host, VMProvider
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World

_STOPS_AT_ONCE = 8


def stop_vms(context: PrefixContext, names: Iterable[str] | None) -> tuple[str, ...]:
    """Power off VMs at once, then the nets nobody uses any more, then an idle private host.

    A private host that is broken is ended when all VMs are to stop: nobody can tell which run.

    Returns:
        The VMs that were running; all of them where nobody could tell.

    Raises:
        VMError: A VM that is named is elsewhere and cannot be powered; none was stopped.
        HostError: The host's libvirtd does not answer.
        HypervisorError: A VM or net cannot be stopped; the others are.
        ExceptionGroup: Several VMs cannot.
    """
    plan, world = context.plan, context.world
    vms = select_vms(plan, names)
    machines = list_powered(vms, world, are_named=names is not None, wish="stopped")
    away = power_off(machines, context, lambda vm, provider: provider.stop(vm), wish="stop")
    if len(vms) == len(plan.vms) and _is_broken(world.host):
        text = "the private host was broken: it was ended with all that ran in it"
        world.observe(Note(message=text, warning=True))
        end_host(context)
        return tuple(vm.name for vm in vms if not vm.is_remote or vm.name in away)
    seen = observe(plan, world.host)
    running = tuple(vm for vm in vms if seen.is_active(vm.name))

    def stop_vm(vm: VMPlan) -> None:
        with context.journal.step("stop", vm.name):
            context.hypervisor.end_domain(vm.domain)

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
    return tuple(vm.name for vm in vms if vm in running or vm.name in away)


def power_off(
    machines: Sequence[tuple[VMPlan, VMProvider]],
    context: PrefixContext,
    act: Callable[[VMPlan, VMProvider], bool],
    *,
    wish: str,
) -> frozenset[str]:
    """Have providers power off machines that are elsewhere; returns those that were on.

    Raises:
        LagoError: A machine cannot be powered off; the others are.
        ExceptionGroup: Several cannot.
    """

    def power(machine: tuple[VMPlan, VMProvider]) -> str | None:
        vm, provider = machine
        context.guests.forget([vm.name])
        with stage(context.world.observe, wish, vm.name), context.journal.step(wish, vm.name):
            return vm.name if act(vm, provider) else None

    done = run_parallel(
        power,
        machines,
        limit=LOOKS_AT_ONCE,
        message="several machines did not stop",
        keep_going=True,
    )
    return frozenset(name for name in done if name is not None)


def _is_broken(host: Host) -> bool:
    return host.kind is HostKind.PRIVATE and not host.is_up() and not host.is_ended()


def release_nets(context: PrefixContext) -> None:
    """Stop the nets that no active VM uses; end a private host on which nothing runs."""
    plan, host = context.plan, context.world.host
    if host.is_ended():
        return
    seen = observe(plan, host)
    active = [vm for vm in plan.vms if seen.is_active(vm.name)]
    if not active and host.kind is HostKind.PRIVATE:
        end_host(context)
        return
    used = {net.name for net in select_nets(plan, active)}
    for net in plan.nets:
        if net.name not in used and seen.nets[net.name].is_active:
            remove_net(net, context)


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
        VMNotRunningError: A VM is paused, so that it could not obey; none was asked.
        VMError: A guest did not power off in time; it runs on.
        HostError: The host's libvirtd does not answer.
        ExceptionGroup: Several VMs failed.
    """
    world = context.world
    vms = select_vms(context.plan, names)
    seen = observe(context.plan, world.host)
    running = tuple(vm for vm in vms if seen.is_active(vm.name))
    check_obeys(running, seen, wish="shut down")
    machines = list_powered(vms, world, are_named=names is not None, wish="shut down")
    cancellation = Cancellation()

    def shut_down(vm: VMPlan) -> None:
        with (
            stage(world.observe, "shut down", vm.name),
            context.journal.step("shut down", vm.name),
        ):
            ask_to_power_off(vm, context)
            _wait_until_off(vm, timeout=timeout, world=world, cancellation=cancellation)

    away = power_off(
        machines,
        context,
        lambda vm, provider: provider.shutdown(vm, timeout=timeout),
        wish="shut down",
    )
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
    return tuple(vm.name for vm in vms if vm in running or vm.name in away)


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
        world.clock.sleep(min(POLL, remaining))


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
