"""Starting: the host, the nets, the VMs, and the wait until guests answer.

A start that fails takes back what it did itself, in reverse, and nothing else.
"""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs

from lago_sdk.events import Note, stage
from lago_sdk.ports import HostKind
from lago_sdk.render.domain import render_domain
from lago_sdk.service.checkpoints.model import CheckpointUse
from lago_sdk.service.guests.reach import answers_ssh, boot_timeout, wait_for_ssh
from lago_sdk.service.making.features import check_features
from lago_sdk.service.making.seeds import read_public_keys
from lago_sdk.service.observing.remote import get_provider
from lago_sdk.service.observing.states import describe_state, find_remedy, is_standing
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import Cancellation, count_boots, run_parallel
from lago_sdk.service.power.nets import create_nets
from lago_sdk.service.provisioning.ssh_config import try_write_ssh_config
from lago_sdk.service.seeing.displays import provide_password
from lago_sdk.service.select import select_nets, select_vms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import NetPlan, VMPlan
    from lago_sdk.ports import VMProvider
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.observing.status import Observation


@attrs.frozen(kw_only=True)
class StartReport:
    """What a start did."""

    started: tuple[str, ...]
    """VMs that were started."""
    already_running: tuple[str, ...]
    """VMs that ran before."""
    paused: tuple[str, ...] = ()
    """VMs that stand still, and were left so: `Prefix.resume` lets them run on."""
    started_nets: tuple[str, ...] = ()
    checkpoint: CheckpointUse | None = None
    """What the first start of a lab that uses the cache had to do with it."""
    seconds: float
    """From the call until every guest that was waited for answered, in seconds."""

    @property
    def changed(self) -> bool:
        """Whether anything was started."""
        return bool(self.started or self.started_nets)


class Starter:
    """One start of some VMs of a prefix; used once.

    Args:
        context: The prefix.
        wait: Whether to wait until guests answer ssh.
    """

    def __init__(self, context: PrefixContext, *, wait: bool = True) -> None:
        self._context = context
        self._is_waiting = wait
        self._context = context
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
            report = self._start(vms, nets)
        except BaseException:
            self._take_back()
            raise
        return attrs.evolve(report, seconds=time.monotonic() - begin)

    def start_net(self, net: NetPlan) -> bool:
        """Start a net, and the host where that is not up; returns whether it was down.

        Raises:
            HostError: The host cannot be brought up.
            HypervisorError: libvirt refuses the net.
        """
        try:
            self._start_host()
            if observe(self._plan, self._world.host).nets[net.name].is_active:
                return False
            create_nets([net], self._context, self._undo)
        except BaseException:
            self._take_back()
            raise
        return True

    def _start(self, vms: tuple[VMPlan, ...], nets: tuple[NetPlan, ...]) -> StartReport:
        check_features((vm.spec for vm in vms), self._world.find_missing)
        # By now the prefix, or our interpreter, may lie elsewhere.
        try_write_ssh_config(self._plan, layout=self._layout, world=self._world)
        if nets or any(not vm.is_remote for vm in vms):
            self._start_host()
        seen = observe(self._plan, self._world.host)
        missing_nets = [net for net in nets if not seen.nets[net.name].is_active]
        stopped = {vm.name for vm in vms if not vm.is_remote and not seen.is_active(vm.name)}
        paused = {vm.name for vm in vms if is_standing(seen.state(vm.name))}
        self._mark_templates(vm for vm in vms if vm.name in stopped)
        create_nets(missing_nets, self._context, self._undo)
        self._tell_paused(paused, seen)
        facts = self._world.host.facts()
        answering: set[str] = set()

        def start_vm(vm: VMPlan) -> None:
            if vm.is_remote and self._start_machine(vm):
                stopped.add(vm.name)
            elif vm.name in stopped:
                self._create_domain(vm, facts, is_known=vm.name in seen.domains)
            if self._wait_for(vm, is_new=vm.is_remote or vm.name in stopped):
                answering.add(vm.name)

        run_parallel(
            start_vm,
            [vm for vm in vms if vm.name not in paused],
            limit=count_boots(self._world, facts),
            message="several VMs did not start",
            cancellation=self._cancellation,
        )
        names = tuple(vm.name for vm in vms)
        # Of a machine that is elsewhere, and that was not waited for, nobody knows.
        ran = {vm.name for vm in vms if not vm.is_remote} | answering
        return StartReport(
            started=tuple(name for name in names if name in stopped),
            already_running=tuple(name for name in names if name in ran - stopped - paused),
            paused=tuple(name for name in names if name in paused),
            started_nets=tuple(net.name for net in missing_nets),
            seconds=0.0,
        )

    def _tell_paused(self, names: Iterable[str], seen: Observation) -> None:
        for name in sorted(names):
            state, reason = seen.state(name), seen.reason(name)
            text = f"{name} is {describe_state(state, reason)}, and left so"
            remedy = find_remedy(name, state, reason)
            self._world.observe(Note(message=f"{text}; {remedy}", warning=True))

    def _mark_templates(self, vms: Iterable[VMPlan]) -> None:
        """Mark what is below the disks as used: by now the prefix may lie elsewhere."""
        backings = (disk.backing for vm in vms for disk in vm.disks)
        for image in {image.path: image for image in backings if image is not None}.values():
            self._world.mark_used(image)

    def _start_host(self) -> None:
        host = self._world.host
        if host.is_up():
            return
        is_broken = host.kind is HostKind.PRIVATE and not host.is_ended()
        if is_broken:
            text = "the private host is broken, and mended; VMs that cannot be kept are ended"
            self._world.observe(Note(message=text, warning=True))
        with stage(self._world.observe, "start host"), self._journal.step("start host"):
            if not is_broken:
                # What was there before us, and outlived the trouble, is not ours to end.
                self._undo.append(host.end)
            host.start()

    def _create_domain(self, vm: VMPlan, facts: HostFacts, *, is_known: bool) -> None:
        self._cancellation.check()
        hypervisor = self._context.hypervisor
        with stage(self._world.observe, "start", vm.name), self._journal.step("start", vm.name):
            # A definition that was there before us, and what libvirt keeps with it, stays.
            undo = hypervisor.end_domain if is_known else hypervisor.remove_domain
            self._undo.append(partial(undo, vm.domain))
            self._undo.append(partial(self._guests.forget, [vm.name]))
            power_on(vm, self._context, facts)

    def _start_machine(self, vm: VMPlan) -> bool:
        """Have the provider of a machine that is elsewhere power it on, where it can."""
        self._cancellation.check()
        provider = get_provider(vm, self._world)
        if not provider.has_power:
            return False
        with stage(self._world.observe, "start", vm.name), self._journal.step("start", vm.name):
            was_off = provider.start(vm)
        if was_off:
            self._undo.append(partial(_stop, vm, provider))
            self._undo.append(partial(self._guests.forget, [vm.name]))
        return was_off

    def _wait_for(self, vm: VMPlan, *, is_new: bool) -> bool:
        """Wait until ssh answers, where it ever will; returns whether it does."""
        self._cancellation.check()
        if not self._is_waiting or not answers_ssh(vm):
            return False
        # Of those that ran before, only what is wrong is worth telling.
        telling = stage(self._world.observe, "wait for ssh", vm.name) if is_new else nullcontext()
        with telling:
            wait_for_ssh(
                vm,
                context=self._context,
                timeout=boot_timeout(vm, self._world.config),
                give_up=self._cancellation.check,
            )
        return True

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


def _stop(vm: VMPlan, provider: VMProvider) -> None:
    provider.stop(vm)


def power_on(vm: VMPlan, context: PrefixContext, facts: HostFacts) -> None:
    """Start the domain of *vm*, which is off, as the plan has it.

    Raises:
        HypervisorError: libvirt refuses it.
    """
    layout = context.layout
    xml = render_domain(
        vm,
        nets={net.name: net for net in context.plan.nets},
        facts=facts,
        root=str(layout.path),
        prefix_uuid=context.plan.uuid,
        display_password=provide_password(vm, layout, context.world.files),
        public_keys=read_public_keys(vm, layout),
    )
    _keep_console_log(layout.path / vm.console_log)
    context.hypervisor.create_domain(xml)


def _keep_console_log(path: Path) -> None:
    """Put what the last run of a VM wrote to its console aside, as ``<name>.1``."""
    with suppress(FileNotFoundError):
        path.replace(path.with_name(f"{path.name}.1"))
