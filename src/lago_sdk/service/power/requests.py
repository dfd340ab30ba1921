"""Asking guests to power off or reboot: by the power button, or over ssh."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from lago_sdk.errors import SSHError, VMNotRunningError, WaitTimeoutError
from lago_sdk.service.observing.states import describe_state, is_standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.observing.status import Observation

POLL = 0.1
"""Seconds between looks at a domain that is going down."""
_ANSWER_SECONDS = 20.0
"""For a command that returns at once, or never, as the connection goes first."""


def check_obeys(vms: Iterable[VMPlan], seen: Observation, *, wish: str) -> None:
    """Return when the guests of all *vms* can do as they are told.

    Raises:
        VMNotRunningError: One stands still: it would never see the button.
    """
    for vm in vms:
        state, reason = seen.state(vm.name), seen.reason(vm.name)
        if is_standing(state):
            force = f"lagoctl {'stop' if wish == 'shut down' else 'reboot --force'} {vm.name}"
            raise VMNotRunningError(
                vm.name,
                f"{vm.name!r} cannot {wish}: it is {describe_state(state, reason)}",
                hint=f"resume it first: lagoctl resume {vm.name}; or do not ask it: {force}",
            )


def ask_over_ssh(
    vm: VMPlan, context: PrefixContext, command: Literal["poweroff", "reboot"]
) -> None:
    """Have the guest of a machine without ACPI run *command*, as root."""
    line = f'if [ "$(id -u)" = 0 ]; then {command}; else sudo -n {command}; fi'
    guest = context.guests.get(vm)
    # The guest may go before it has answered; whether it goes is looked at anyway.
    with suppress(SSHError, WaitTimeoutError):
        guest.run(line, timeout=_ANSWER_SECONDS).check()


def ask_to_power_off(vm: VMPlan, context: PrefixContext) -> None:
    """Ask the guest to power off; the connection to it is closed. Returns at once."""
    hypervisor = context.hypervisor
    if hypervisor.has_power_button(vm.domain):
        context.guests.forget([vm.name])
        hypervisor.shutdown_domain(vm.domain)
    else:
        ask_over_ssh(vm, context, "poweroff")
        context.guests.forget([vm.name])
