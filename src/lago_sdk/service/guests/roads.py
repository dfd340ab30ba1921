"""Three roads to a command in a guest, and the choice between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ConsoleError, LagoError, VMError
from lago_sdk.results import Road
from lago_sdk.service.guests import agent_commands, console_commands
from lago_sdk.service.guests.agent import AgentLink
from lago_sdk.service.guests.console import open_session
from lago_sdk.service.guests.reach import answers_ssh, find_address
from lago_sdk.service.guests.shell_text import join_command
from lago_sdk.service.observing.running import check_running, get_hypervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext

SSH_SECONDS = 5.0
"""How long ssh may take to answer before another road is tried."""
_CONSOLE_SECONDS = 60.0
"""For a command at the console when nothing else was said: it never waits for ever."""


def run(
    vm: VMPlan,
    context: PrefixContext,
    command: str | Sequence[str],
    *,
    via: Road | str = Road.AUTO,
    input: bytes | None = None,  # noqa: A002 - the name subprocess uses
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run *command* in the guest of *vm*.

    Args:
        vm: The VM.
        context: Its prefix.
        command: Text for the guest's shell, or a list of arguments.
        via: The road, or its name. A command that was begun is not begun again on another.
        input: What the command reads.
        timeout: Seconds it may take.
        env: Variables set for it.

    Raises:
        VMError: No road is open; tells what is wrong with each.
        LagoError: What that road's own commands raise.
    """
    obstacles: dict[Road, str] = {}
    road = parse_road(via)
    if road is Road.AUTO:
        road = choose(vm, context, obstacles)
    if road is Road.SSH:
        guest = context.guests.get(vm)
        text = join_command(command)
        result = guest.run(text, input=input, timeout=timeout, env=env)
        return attrs.evolve(result, via=Road.SSH)
    if road is Road.AGENT:
        link = AgentLink(vm, context)
        return agent_commands.run_command(link, command, input=input, timeout=timeout, env=env)
    seconds = _CONSOLE_SECONDS if timeout is None else timeout
    try:
        with open_session(vm, context, purpose="run a command") as session:
            return console_commands.run_command(
                session, command, input=input, timeout=seconds, env=env
            )
    except ConsoleError as error:
        if not obstacles:
            raise
        told = "; ".join(f"{other.value}: {why}" for other, why in obstacles.items())
        message = f"no road leads into {vm.name!r}: {told}; console: {error.message}"
        raise VMError(vm.name, message, hint=error.hint) from error


def parse_road(name: Road | str) -> Road:
    """Return the road called *name*.

    Raises:
        LagoError: There is none.
    """
    try:
        return Road(name)
    except ValueError:
        known = [road.value for road in Road]
        message = f"no road is called {name!r}"
        raise LagoError(message, hint=f"there are: {', '.join(known)}") from None


def choose(vm: VMPlan, context: PrefixContext, obstacles: dict[Road, str]) -> Road:
    """Return the first road that is open: ssh, the guest agent, else the console.

    Whether somebody obeys at the console only a command can tell. What is wrong with the other
    roads is put into *obstacles*.

    Raises:
        VMNotRunningError: The VM is not running.
        LagoError: Somebody else runs it, so that there is but ssh.
    """
    if vm.is_remote:
        return Road.SSH
    check_running(vm, get_hypervisor(vm, context, need="the guest"))
    for road, look in ((Road.SSH, _find_ssh_obstacle), (Road.AGENT, _find_agent_obstacle)):
        obstacle = look(vm, context)
        if obstacle is None:
            return road
        obstacles[road] = obstacle
    return Road.CONSOLE


def _find_ssh_obstacle(vm: VMPlan, context: PrefixContext) -> str | None:
    """Return why ssh does not answer soon, or ``None`` when it does."""
    if find_address(vm) is None:
        return "it has no address"
    if not answers_ssh(vm):
        return "it was not prepared for logins"
    try:
        context.guests.get(vm).wait(timeout=SSH_SECONDS, explain=str)
    except LagoError as error:
        return error.message
    return None


def _find_agent_obstacle(vm: VMPlan, context: PrefixContext) -> str | None:
    try:
        AgentLink(vm, context).ping()
    except LagoError as error:
        return error.message
    return None
