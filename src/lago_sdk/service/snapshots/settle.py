"""After a revert: guests have the time of then, and our connections are those of later.

Connections that were open at the time of the snapshot, or since, mean nothing to the other end:
ours are closed before, and opened again. Clocks are set by the guest's agent where it answers,
else over ssh. Nothing has to be done about DHCP: the host's server gives each VM the address of
the plan, so whichever lease a guest remembers is right.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lago_sdk.errors import AgentError, LagoError
from lago_sdk.events import Note
from lago_sdk.ports.agent import AgentState
from lago_sdk.service.guests.agent import AgentLink, set_time
from lago_sdk.service.guests.reach import answers_ssh, wait_for_ssh
from lago_sdk.service.parallel import run_parallel
from lago_sdk.service.snapshots.cut import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

_ANSWER_SECONDS = 30.0
"""A guest that answered when it was kept does so in a second; one that did not will not."""
_SET_SECONDS = 10.0
_TRIP_SECONDS = 0.03
"""From here to the guest's ``date``, about."""
_ROOT = "root"


def settle_guests(context: PrefixContext, vms: Iterable[VMPlan]) -> None:
    """Open connections to guests that run again, and set their clocks.

    A guest that does not answer is told, and no failure: it may not have answered before.
    """
    run_parallel(
        lambda vm: _settle(context, vm),
        vms,
        limit=AT_ONCE,
        message="several guests are not usable",
        keep_going=True,
    )


def _settle(context: PrefixContext, vm: VMPlan) -> None:
    is_set = _set_by_agent(context, vm)
    if not answers_ssh(vm):
        return
    try:
        guest = context.guests.get(vm)
        wait_for_ssh(vm, context=context, timeout=_ANSWER_SECONDS, give_up=lambda: None)
        if not is_set and guest.run(_clock_command(vm), timeout=_SET_SECONDS).code != 0:
            _tell(context, f"the clock of {vm.name} is that of the snapshot: it cannot be set")
    except LagoError as error:
        _tell(context, f"{vm.name} runs, and does not answer ssh after the revert: {error.message}")


def _set_by_agent(context: PrefixContext, vm: VMPlan) -> bool:
    """Set the clock by the agent in the guest; whether there is one that did."""
    link = AgentLink(vm, context)
    if link.find_state() is not AgentState.CONNECTED:
        return False
    try:
        set_time(link, time.time_ns())
    except AgentError:
        return False
    return True


def _clock_command(vm: VMPlan) -> str:
    """Return the command that sets a clock; busybox's ``date`` knows no parts of a second.

    All but ``date`` itself is built into the shell: a process takes long under emulation.
    """
    now = time.time() + _TRIP_SECONDS
    sudo = "" if vm.ssh_user == _ROOT else "sudo -n "
    is_busybox = "[ /bin/date -ef /bin/busybox ]"
    set_clock = f"{is_busybox} && t=@{now:.0f}; {sudo}date -u -s $t >/dev/null"
    # What the login itself left to be written would make the VM look used in a few seconds.
    return f"t=@{now:.3f}; {set_clock} && exec sync"


def _tell(context: PrefixContext, text: str) -> None:
    context.world.observe(Note(message=text, warning=True))
