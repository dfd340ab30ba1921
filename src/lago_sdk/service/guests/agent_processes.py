"""Processes that a guest's agent starts and looks after."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lago_sdk.ports.agent import JSON
    from lago_sdk.service.guests.agent import AgentLink

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.5
_SIGNALLED = 128


def run_script(link: AgentLink, script: str, *, timeout: float) -> int | None:
    """Run a script of ours, whose output nobody needs; returns its code, ``None`` without end."""
    return wait_process(link, start_process(link, script, None), timeout)


def start_process(link: AgentLink, script: str, data: bytes | None) -> int:
    """Have the agent start ``sh`` with *script*; returns its process number."""
    arguments: dict[str, JSON] = {"path": "/bin/sh", "arg": ["-c", script]}
    if data:
        arguments["input-data"] = base64.b64encode(data).decode()
    found = link.ask("guest-exec", arguments)
    pid = found.get("pid") if isinstance(found, dict) else None
    if not isinstance(pid, int):
        raise link.error("the guest agent started nothing")
    return pid


def wait_process(link: AgentLink, pid: int, timeout: float | None) -> int | None:
    """Wait for the end of a process; returns its code, ``None`` when time is up."""
    begin = link.clock.monotonic()
    pause = _FIRST_PAUSE
    while True:
        found = link.ask("guest-exec-status", {"pid": pid})
        status = found if isinstance(found, dict) else {}
        if status.get("exited"):
            signal = status.get("signal")
            code = status.get("exitcode", 0)
            return _SIGNALLED + signal if isinstance(signal, int) else int(str(code))
        if timeout is not None:
            left = begin + timeout - link.clock.monotonic()
            if left <= 0:
                return None
            pause = min(pause, left)
        link.clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
