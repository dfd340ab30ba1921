"""Rebooting: asked for or forced, and how to know that it has happened.

A guest is asked by the power button of ACPI and started again by libvirt once it has powered
off. The hypervisor tells when the machine was reset: from then on nothing of the old system can
answer, so the wait for ssh that follows ends with the new one.

Under emulation the machine is switched off and on instead: QEMU (7.2, TCG) was seen to spend
many minutes in the boot loader of a machine that it had reset, and none in a new process.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lago_sdk.errors import VMError
from lago_sdk.events import stage
from lago_sdk.plan.facts import Accel
from lago_sdk.service.guests.reach import answers_ssh, boot_timeout, wait_for_ssh
from lago_sdk.service.observing.states import list_active
from lago_sdk.service.observing.status import observe
from lago_sdk.service.parallel import Cancellation, count_boots, run_parallel
from lago_sdk.service.power.requests import POLL, ask_over_ssh, ask_to_power_off, check_obeys
from lago_sdk.service.power.start import power_on
from lago_sdk.service.select import select_vms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext


class Rebooter:
    """One reboot of some VMs of a prefix; used once.

    Args:
        context: The prefix; connections to the guests are closed.
        timeout: Seconds that a guest may take to power off.
        wait: Whether to return when the guests answer ssh again, or once they boot.
        force: Press the reset button: no guest is asked, and what it has not written is lost.
    """

    def __init__(
        self, context: PrefixContext, *, timeout: float, wait: bool = True, force: bool = False
    ) -> None:
        self._context = context
        self._timeout = timeout
        self._wait = wait
        self._force = force
        self._cancellation = Cancellation()

    def reboot(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Reboot the VMs called *names*; those that run for ``None``. Returns their names.

        Raises:
            VMNotRunningError: A VM that is named does not run, or stands still.
            VMError: A guest did not power off in time, and runs on.
            WaitTimeoutError: A guest did not answer in time after it had gone down.
            HostError: The host's libvirtd does not answer.
            ExceptionGroup: Several VMs failed.
        """
        context, world = self._context, self._context.world
        vms = select_vms(context.plan, names)
        seen = observe(context.plan, world.host)
        active = list_active(vms, seen, are_named=names is not None)
        if not active:
            return ()
        if not self._force:
            check_obeys(active, seen, wish="reboot")
        facts = world.host.facts()
        go_down = self._switch_off_and_on if facts.accel is Accel.TCG else self._reset
        run_parallel(
            partial(self._reboot, go_down=go_down),
            active,
            # Without a wait it is the guests who boot, all at once.
            limit=count_boots(world, facts) if self._wait else len(active),
            message="several VMs did not reboot",
            cancellation=self._cancellation,
            keep_going=True,
        )
        return tuple(vm.name for vm in active)

    def _reboot(self, vm: VMPlan, *, go_down: Callable[[VMPlan], None]) -> None:
        context = self._context
        self._cancellation.check()
        what = "reset" if self._force else "reboot"
        with stage(context.world.observe, what, vm.name), context.journal.step(what, vm.name):
            go_down(vm)
            # Whoever used the VM meanwhile spoke to the old system.
            context.guests.forget([vm.name])
        if self._wait and answers_ssh(vm):
            with stage(context.world.observe, "wait for ssh", vm.name):
                wait_for_ssh(
                    vm,
                    context=context,
                    timeout=boot_timeout(vm, context.world.config),
                    give_up=self._cancellation.check,
                )

    def _reset(self, vm: VMPlan) -> None:
        """Have the machine reset, and wait until it was."""
        hypervisor = self._context.hypervisor
        with hypervisor.watch_reboot(vm.domain) as has_rebooted:
            if self._force:
                hypervisor.reset_domain(vm.domain)
            elif hypervisor.has_power_button(vm.domain):
                hypervisor.reboot_domain(vm.domain)
            else:
                ask_over_ssh(vm, self._context, "reboot")
            for is_active in self._watch(vm, until=has_rebooted):
                if not is_active:
                    message = f"{vm.name!r} powered off and did not come back"
                    raise VMError(vm.name, message, hint=f"start it: lagoctl start {vm.name}")

    def _switch_off_and_on(self, vm: VMPlan) -> None:
        """Have the guest power off, or end it, and start it anew."""
        hypervisor = self._context.hypervisor
        if self._force:
            hypervisor.end_domain(vm.domain)
        else:
            ask_to_power_off(vm, self._context)
            for is_active in self._watch(vm):
                if not is_active:
                    break
        # From the plan: what was plugged in while it ran is there again.
        power_on(vm, self._context, self._context.world.host.facts())

    def _watch(self, vm: VMPlan, *, until: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Look at a VM again and again, until *until* or the deadline; yield whether it is on.

        Raises:
            VMError: The deadline has passed.
        """
        context = self._context
        clock = context.world.clock
        deadline = clock.monotonic() + self._timeout
        while not until():
            self._cancellation.check()
            info = context.hypervisor.find_domain(vm.domain)
            yield info is not None and info.state.is_active
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                raise VMError(
                    vm.name,
                    f"{vm.name!r} did not reboot within {self._timeout:g} s; it runs on",
                    hint=f"press its reset button: lagoctl reboot --force {vm.name}",
                )
            clock.sleep(min(POLL, remaining))
