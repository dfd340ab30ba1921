"""What can be waited for: each look returns when it has happened, else tells how far it is."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

from lago_sdk.errors import AgentError, LagoError, VMError, VMNotRunningError
from lago_sdk.service.guests.agent import AgentLink
from lago_sdk.service.guests.reach import find_address
from lago_sdk.service.guests.waiting import NotYet
from lago_sdk.service.provisioning.services import find_service_state
from lago_sdk.state import ServiceState, VMState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.guests.waiting import Wait

_DIAL_SECONDS = 2.0
"""For a guest that is there to accept a connection."""
_LINE = 200
"""Characters of a line that a stage repeats."""
_CLOUD_INIT = """
cd /run/cloud-init 2>/dev/null || { command -v cloud-init >/dev/null && exit 3; exit 4; }
test -e disabled && exit 5
cat result.json 2>/dev/null || { cat status.json 2>/dev/null; exit 3; }
"""
"""Prints what cloud-init left (https://docs.cloud-init.io: "How to query status"); it starts no
program of cloud-init's, which would keep an emulated processor busy for seconds."""
_RUNS, _ABSENT, _DISABLED = 3, 4, 5


def get_dial_address(vm: VMPlan, address: str | None) -> str:
    """Return *address*, else that of *vm* on its management net.

    Raises:
        VMError: It has none.
    """
    found = address or find_address(vm)
    if found is None:
        message = f"{vm.name!r} has no address to reach it at"
        raise VMError(vm.name, message, hint="name one of another net: address=…")
    return found


def look_at_port(vm: VMPlan, address: str, port: int, wait: Wait, context: PrefixContext) -> None:
    """Return when something accepts connections at a TCP port of *vm*."""
    try:
        seconds = min(_DIAL_SECONDS, max(wait.left, 0.1))
        context.world.dial(vm, address, port, timeout=seconds).close()
    except ConnectionRefusedError as error:
        text = f"{address} answers, but nothing listens on port {port}"
        raise NotYet(text, hint="is the service running, and bound to that address?") from error
    except OSError as error:
        raise NotYet(f"no answer from {address} at port {port}: {error}") from error


def look_at_unit(vm: VMPlan, unit: str, wait: Wait, context: PrefixContext) -> None:
    """Return when a service is active."""

    def run(command: Sequence[str]) -> CommandResult:
        return wait.run(shlex.join(command))

    state = find_service_state(vm, unit, run=run, context=context)
    if state is not ServiceState.ACTIVE:
        command = f"lagoctl shell {vm.name} systemctl status {shlex.quote(unit)}"
        raise NotYet(f"the service {unit!r} is {state.value}", hint=f"look at it: {command}")


def look_at_file(path: str, wait: Wait) -> None:
    """Return when the guest has something at *path*."""
    if wait.run(f"test -e {shlex.quote(path)}").code != 0:
        raise NotYet(f"there is no {path!r} in the guest")


def look_at_command(command: str, wait: Wait) -> CommandResult:
    """Return the result of *command* when its exit code is 0."""
    result = wait.run(command)
    if result.code == 0:
        return result
    lines = (result.err or result.out).strip().splitlines()
    told = f": {lines[-1][:_LINE]}" if lines else ""
    raise NotYet(f"{command!r} exits with {result.code}{told}")


class LogLook:
    """Looks at what was added to a log of the guest; a log that shrinks was begun anew.

    Args:
        path: The log in the guest.
        pattern: What to look for in each line.
        wait: The wait that this serves.
    """

    def __init__(self, path: str, pattern: re.Pattern[str], wait: Wait) -> None:
        self._path = path
        self._pattern = pattern
        self._wait = wait
        self._seen = 0
        self._rest = ""

    def __call__(self) -> str:
        """Return the first whole line that matches."""
        path = shlex.quote(self._path)
        shown = self._wait.run(f"wc -c < {path} && tail -c +{self._seen + 1} {path}")
        if shown.code != 0:
            raise NotYet(f"the log {self._path!r} cannot be read: {shown.err.strip()[:_LINE]}")
        size, _, text = shown.out.partition("\n")
        if int(size) < self._seen:
            self._seen, self._rest = 0, ""
            raise NotYet(f"the log {self._path!r} was begun anew")
        self._seen += len(text.encode(errors="replace"))
        return find_line(self._pattern, self._take(text), f"the log {self._path!r}")

    def _take(self, text: str) -> list[str]:
        """Return the whole lines there are; what is cut off is kept for the next look."""
        *lines, self._rest = (self._rest + text).split("\n")
        return lines


def find_line(pattern: re.Pattern[str], lines: Sequence[str], where: str) -> str:
    """Return the first of *lines* that *pattern* is found in.

    Raises:
        NotYet: There is none.
    """
    for line in lines:
        if pattern.search(line):
            return line.rstrip("\r")
    raise NotYet(f"{where} has no line with {pattern.pattern!r}")


def look_at_console(log: Path, pattern: re.Pattern[str]) -> str:
    """Return the first line that matches of what the guest wrote since its start.

    The last line counts although it has no end: a prompt has none.
    """
    try:
        text = log.read_bytes().decode(errors="replace")
    except OSError as error:
        raise NotYet("it has written nothing to its console") from error
    return find_line(pattern, text.split("\n"), "its console")


def look_at_agent(vm: VMPlan, context: PrefixContext) -> None:
    """Return when the guest agent answers."""
    try:
        AgentLink(vm, context).ask("guest-ping")
    except AgentError as error:
        raise NotYet(error.message, hint=error.hint) from error


def look_at_cloud_init(vm: VMPlan, wait: Wait) -> None:
    """Return when cloud-init has come to its end.

    Raises:
        NotYet: It has not.
        VMError: It came to its end with errors, is disabled, or is not in the guest.
    """
    shown = wait.run(_CLOUD_INIT)
    if shown.code == _ABSENT:
        message = f"{vm.name!r} has no cloud-init"
        raise VMError(vm.name, message, hint="wait for ssh, a unit or a file instead")
    if shown.code == _DISABLED:
        raise VMError(vm.name, f"cloud-init is disabled on {vm.name!r}")
    document = _parse_json(shown.out)
    if shown.code != 0:
        stage = document.get("stage")
        raise NotYet(f"cloud-init is at its stage {stage}" if stage else "cloud-init has not begun")
    errors = document.get("errors")
    if isinstance(errors, list) and errors:
        message = f"cloud-init failed on {vm.name!r}: {'; '.join(str(error) for error in errors)}"
        hint = f"lagoctl shell {vm.name} cat /var/log/cloud-init-output.log"
        raise VMError(vm.name, message, hint=hint)


def _parse_json(text: str) -> dict[str, object]:
    """Return the part ``v1`` of what cloud-init wrote; empty where it is cut off."""
    try:
        found = json.loads(text)["v1"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def look_at_state(vm: VMPlan, state: VMState, context: PrefixContext) -> None:
    """Return when the VM is in *state*; one without a domain is down."""
    found = VMState.DOWN
    if not context.world.host.is_ended():
        info = context.hypervisor.find_domain(vm.domain)
        found = VMState.DOWN if info is None else info.state
    if found is not state:
        raise NotYet(f"it is {found.value}")


def compile_pattern(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a regular expression.

    Raises:
        LagoError: It is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise LagoError(f"{pattern!r} is no regular expression: {error}") from error


def require_running(vm: VMPlan, context: PrefixContext) -> None:
    """Return when it makes sense to wait for something of *vm*.

    Raises:
        VMNotRunningError: It is off.
    """
    if vm.is_remote:
        return
    info = None if context.world.host.is_ended() else context.hypervisor.find_domain(vm.domain)
    state = VMState.DOWN if info is None else info.state
    if state.is_active and state is not VMState.PAUSED:
        return
    verb = "resume" if state is VMState.PAUSED else "start"
    message = f"{vm.name!r} is not running: it is {state.value}"
    raise VMNotRunningError(vm.name, message, hint=f"{verb} it: lagoctl {verb} {vm.name}")
