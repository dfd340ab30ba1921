"""Starting: the host, the nets, the VMs, and the wait until guests answer.

A start that fails takes back what it did itself, in reverse, and nothing else.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import HypervisorError
from lago_sdk.events import Note, stage
from lago_sdk.plan.facts import Accel
from lago_sdk.render.domain import render_domain
from lago_sdk.render.network import render_network
from lago_sdk.service.features import check_bridges, check_features
from lago_sdk.service.parallel import Cancellation, run_parallel
from lago_sdk.service.reach import answers_ssh, boot_timeout, wait_for_ssh
from lago_sdk.service.select import select_nets, select_vms
from lago_sdk.service.ssh_config import try_write_ssh_config
from lago_sdk.service.status import observe
from lago_sdk.state import NetState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import NetPlan, VMPlan
    from lago_sdk.ports import Hypervisor
    from lago_sdk.service.context import PrefixContext

_NETS_AT_ONCE = 4


@attrs.frozen(kw_only=True)
class StartReport:
    """What a start did."""

    started: tuple[str, ...]
    """VMs that were started."""
    already_running: tuple[str, ...]
    """VMs that ran before."""
    started_nets: tuple[str, ...] = ()
    seconds: float
    """From the call until every guest answered, in seconds."""

    @property
    def changed(self) -> bool:
        """Whether anything was started."""
        return bool(self.started or self.started_nets)


class Starter:
    """One start of some VMs of a prefix; used once."""

    def __init__(self, context: PrefixContext) -> None:
        self._plan = context.plan
        self._layout = context.layout
        self._world = context.world
        self._journal = context.journal
        self._guests = context.guests
        self._undo: list[Callable[[], None]] = []
        self._cancellation = Cancellation()

    def start(self, names: Iterable[str] | None = None) -> StartReport:
        """Start the VMs called *names* (all for ``None``) and what they need; wait for ssh.

        Raises:
            HostError: The host cannot be brought up.
            HypervisorError: libvirt refuses a net or a VM.
            WaitTimeoutError: A guest does not answer in time.
            ExceptionGroup: Several VMs failed.
        """
        begin = time.monotonic()
        vms = select_vms(self._plan, names)
        nets = self._plan.nets if names is None else select_nets(self._plan, vms)
        try:
            started_nets, started = self._start(vms, nets)
        except BaseException:
            self._take_back()
            raise
        return StartReport(
            started=tuple(vm.name for vm in vms if vm.name in started),
            already_running=tuple(vm.name for vm in vms if vm.name not in started),
            started_nets=started_nets,
            seconds=time.monotonic() - begin,
        )

    def _start(
        self, vms: tuple[VMPlan, ...], nets: tuple[NetPlan, ...]
    ) -> tuple[tuple[str, ...], set[str]]:
        check_features((vm.spec for vm in vms), self._world.find_missing)
        # By now the prefix, or our interpreter, may lie elsewhere.
        try_write_ssh_config(self._plan, layout=self._layout, world=self._world)
        self._start_host()
        seen = observe(self._plan, self._world.host)
        missing_nets = [net for net in nets if not seen.nets[net.name].is_active]
        stopped = {vm.name for vm in vms if not vm.is_remote and not seen.is_active(vm.name)}
        self._mark_templates(vm for vm in vms if vm.name in stopped)
        self._start_nets(missing_nets)
        facts = self._world.host.facts()

        def start_vm(vm: VMPlan) -> None:
            self._start_vm(vm, facts, is_running=vm.name not in stopped)

        run_parallel(
            start_vm,
            vms,
            limit=self._boots_at_once(facts),
            message="several VMs did not start",
            cancellation=self._cancellation,
        )
        return tuple(net.name for net in missing_nets), stopped

    def _mark_templates(self, vms: Iterable[VMPlan]) -> None:
        """Mark what is below the disks as used: by now the prefix may lie elsewhere."""
        backings = (disk.backing for vm in vms for disk in vm.disks)
        for image in {image.path: image for image in backings if image is not None}.values():
            self._world.mark_used(image)

    def _start_host(self) -> None:
        host = self._world.host
        if host.is_up():
            return
        with stage(self._world.observe, "start host"), self._journal.step("start host"):
            self._undo.append(host.end)
            host.start()

    def _start_nets(self, nets: list[NetPlan]) -> None:
        if not nets:
            return
        check_bridges(nets, self._world.host)
        hypervisor = self._world.host.hypervisor()

        def start_net(net: NetPlan) -> None:
            with self._journal.step("start net", net.name):
                _check_free(net, hypervisor)
                self._undo.append(partial(hypervisor.remove_network, net.network))
                hypervisor.create_network(render_network(net, prefix_uuid=self._plan.uuid))

        with stage(self._world.observe, "start nets", ", ".join(net.name for net in nets)):
            run_parallel(start_net, nets, limit=_NETS_AT_ONCE, message="several nets did not start")

    def _start_vm(self, vm: VMPlan, facts: HostFacts, *, is_running: bool) -> None:
        self._cancellation.check()
        if not is_running:
            with stage(self._world.observe, "start", vm.name), self._journal.step("start", vm.name):
                self._create_domain(vm, facts)
        if answers_ssh(vm):
            self._wait(vm, quiet=is_running)

    def _create_domain(self, vm: VMPlan, facts: HostFacts) -> None:
        hypervisor = self._world.host.hypervisor()
        xml = render_domain(
            vm,
            nets={net.name: net for net in self._plan.nets},
            facts=facts,
            root=str(self._layout.path),
            prefix_uuid=self._plan.uuid,
        )
        self._undo.append(partial(hypervisor.remove_domain, vm.domain))
        self._undo.append(partial(self._guests.forget, [vm.name]))
        hypervisor.create_domain(xml)

    def _wait(self, vm: VMPlan, *, quiet: bool) -> None:
        def wait() -> None:
            wait_for_ssh(
                vm,
                self._guests.get(vm),
                host=self._world.host,
                layout=self._layout,
                timeout=boot_timeout(vm, self._world.config),
                give_up=self._cancellation.check,
            )

        if quiet:
            wait()
            return
        with stage(self._world.observe, "wait for ssh", vm.name):
            wait()

    def _boots_at_once(self, facts: HostFacts) -> int:
        asked = self._world.config.parallel_starts
        if asked:
            return asked
        # An emulated boot keeps a whole core busy: more at once only delays the first to answer.
        return self._world.cpus if facts.accel is Accel.TCG else 4 * self._world.cpus

    def _take_back(self) -> None:
        """Undo what this start did; an undo that fails is told, and the others still run."""
        with stage(self._world.observe, "take back what was started"):
            while self._undo:
                undo = self._undo.pop()
                try:
                    undo()
                except Exception as error:  # noqa: BLE001 - the others must be undone as well
                    text = f"not everything could be taken back: {error}; destroy removes the rest"
                    self._world.observe(Note(message=text, warning=True))


def _check_free(net: NetPlan, hypervisor: Hypervisor) -> None:
    """Return when the network is not there; it was not when we looked for those of the prefix.

    Raises:
        HypervisorError: Somebody else's network has its name.
    """
    if hypervisor.find_network(net.network) is NetState.UP:
        message = f"the net {net.name!r} cannot be started: a network {net.network!r} runs already"
        raise HypervisorError(message, hint="virsh net-list shows it; destroy whatever made it")
