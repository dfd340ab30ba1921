"""Commands at the console of a VM: a login where one is asked for, and a shell that obeys."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from lago_sdk.errors import CommandTimeoutError, ConsoleError, LagoError
from lago_sdk.results import CommandResult, Road
from lago_sdk.service.guests.console import strip_controls
from lago_sdk.service.guests.console_protocol import (
    Records,
    render_bootstrap,
    render_script,
    split_script,
)
from lago_sdk.service.guests.shell_text import join_command, render_exports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lago_sdk.ports import Clock
    from lago_sdk.service.guests.console import ConsoleSession

_ENTER = "\x15\r"
"""Control-U first: whoever was there before may have left half a line."""
_INTERRUPT = "\x03"
_PROMPT_SECONDS = 3.0
"""For an answer to the Enter key."""
_SHELL_SECONDS = 15.0
"""For a shell to begin reading: it starts another one, under emulation."""
_LOGIN_SECONDS = 60.0
"""For a login, which takes seconds under emulation."""
_LINE_SECONDS = 5.0
_INTERRUPT_SECONDS = 5.0
_ROUNDS = 20
"""How often records are asked for again."""
_SHELLS = 2
"""How often a script is begun: who does not obey twice is no shell."""

_LOGIN = re.compile(r"(?<!last )login:\s*\Z", re.IGNORECASE)
_PASSWORD = re.compile(r"password:\s*\Z", re.IGNORECASE)
_SHELL = re.compile(r"[#$%>]\s*\Z")
_REFUSED = re.compile(r"login incorrect|authentication failure", re.IGNORECASE)


def run_command(
    session: ConsoleSession,
    command: str | Sequence[str],
    *,
    input: bytes | None = None,  # noqa: A002 - the name subprocess uses
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run *command* by the shell on the console and wait for its end.

    Args:
        session: Where to type it.
        command: Text for ``sh -c``, or a list of arguments.
        input: What it reads; nothing when ``None``. It is typed: keep it small.
        timeout: Seconds that everything may take: a login, the command, the way back.
        env: Variables set for it.

    Raises:
        CommandTimeoutError: It did not end in time, and was interrupted; its output is lost.
        ConsoleError: Nobody there obeys: a login for which there is no password, another
            program, no console on the serial port.
        LagoError: A variable cannot be set.
    """
    text = join_command(command)
    script = render_script(render_exports(env) + text, input)
    deadline = Deadline(session.clock, timeout)
    records = _begin(session, deadline)
    try:
        _type_script(session, records, script)
        if not _receive(session, records, deadline):
            raise _timed_out(session, text, timeout)
        _mend(session, records)
    except BaseException:
        with suppress(LagoError):
            session.send(_INTERRUPT)
            _wait(session, records, lambda: records.is_over, _INTERRUPT_SECONDS)
        raise
    session.send(".\n")
    _wait(session, records, lambda: records.is_over, _INTERRUPT_SECONDS)
    found = records.decode()
    out, err = (data.decode(errors="replace") for data in (found.out, found.err))
    return CommandResult(command=text, code=found.code, out=out, err=err, via=Road.CONSOLE)


class Deadline:
    """The moment by which everything must be done."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self, most: float | None = None) -> float:
        """Seconds until then, *most* at most; 0 when it has passed."""
        left = max(self._end - self._clock.monotonic(), 0.0)
        return left if most is None else min(left, most)


def _begin(session: ConsoleSession, deadline: Deadline) -> Records:
    """Have a shell read a script, after a login where that is asked for."""
    tries = 0
    while deadline.left() > 0:
        session.send(_ENTER)
        prompt = _read_prompt(session, deadline)
        if _LOGIN.search(prompt):
            _log_in(session, deadline)
            continue
        # What shows nothing has no getty yet; what asks for a password asks somebody else's.
        if not prompt or _PASSWORD.search(prompt):
            continue
        records = _find_shell(session, deadline)
        if records is not None:
            return records
        tries += 1
        if tries == _SHELLS:
            break
    raise _no_shell(session)


def _find_shell(session: ConsoleSession, deadline: Deadline) -> Records | None:
    """Have whoever is there read a script; ``None`` where nobody begins to."""
    records = Records(f"LAGO{uuid4().hex[:12]}")
    session.send(render_bootstrap(records.token) + "\r")
    limit = Deadline(session.clock, deadline.left(_SHELL_SECONDS))
    while limit.left() > 0:
        if _wait(session, records, lambda: records.is_ready, limit.left(_LINE_SECONDS)):
            return records
        session.send("\n")  # its answer may have been spoilt: it answers each line
    return None


def _read_prompt(session: ConsoleSession, deadline: Deadline) -> str:
    """Return the last line that answers the Enter key, without controls; empty without one."""
    shown = ""
    end = deadline.left(_PROMPT_SECONDS)
    limit = Deadline(session.clock, end)
    while limit.left() > 0:
        shown += session.read(limit.left())
        last = strip_controls(shown).rpartition("\n")[2].strip()
        if any(known.search(last) for known in (_LOGIN, _PASSWORD, _SHELL)):
            return last
    return strip_controls(shown).rpartition("\n")[2].strip()


def _log_in(session: ConsoleSession, deadline: Deadline) -> None:
    """Log in as root.

    Raises:
        ConsoleError: There is no password, or it is wrong.
    """
    vm = session.vm
    password = vm.spec.root_password
    if not password:
        raise ConsoleError(
            vm.name,
            f"the console of {vm.name!r} asks for a login, and root has no password",
            hint="set root-password in the init file before the VM is made, or use ssh or agent",
        )
    session.send("root\r")
    shown = _read_answer(session, (_PASSWORD, _SHELL), deadline)
    if not _PASSWORD.search(shown):
        return
    session.send(f"{password}\r")
    shown = _read_answer(session, (_REFUSED, _LOGIN, _SHELL), deadline)
    if _REFUSED.search(shown) or _LOGIN.search(shown):
        message = f"the console of {vm.name!r} does not take the password of root"
        raise ConsoleError(vm.name, message, hint="was it changed in the guest?")


def _read_answer(
    session: ConsoleSession, known: Sequence[re.Pattern[str]], deadline: Deadline
) -> str:
    """Return what is shown until one of the *known* patterns is, or time is up."""
    limit = Deadline(session.clock, deadline.left(_LOGIN_SECONDS))
    shown = ""
    while limit.left() > 0:
        shown += strip_controls(session.read(limit.left()))
        if any(pattern.search(shown) for pattern in known):
            break
    return shown


def _type_script(session: ConsoleSession, records: Records, script: str) -> None:
    """Type *script*, no faster than it is read."""
    typed = records.lines
    for line in split_script(script):
        session.send(f"{line}\n")
        typed += 1
        if line == ".":
            return
        # An acknowledgement may be spoilt by the kernel: an empty line asks for another.
        for _further in range(_ROUNDS):
            if _wait(session, records, partial(records.has_read, typed), _LINE_SECONDS):
                break
            session.send("\n")
            typed += 1
        else:
            raise _no_shell(session)


def _receive(session: ConsoleSession, records: Records, deadline: Deadline) -> bool:
    """Wait for the end of the command; returns whether it came in time."""
    while deadline.left() > 0:
        count = records.count
        if _wait(session, records, lambda: records.total is not None, deadline.left(_LINE_SECONDS)):
            return True
        if records.count == count > 0:
            session.send("0\n")  # all came, and the last one was spoilt
    return records.total is not None


def _mend(session: ConsoleSession, records: Records) -> None:
    """Ask for the records that came in damaged."""
    for _round in range(_ROUNDS):
        missing = records.list_missing()
        if not missing:
            return
        for number in missing:
            records.expect_more()
            session.send(f"{number}\n")
            _wait(session, records, lambda: records.is_told, _LINE_SECONDS)
    raise ConsoleError(
        session.vm.name,
        f"the output does not come through the console of {session.vm.name!r}",
        hint="something else writes there all the time: dmesg -n 1 silences the kernel",
    )


def _wait(
    session: ConsoleSession, records: Records, is_done: Callable[[], bool], timeout: float
) -> bool:
    """Take records until *is_done*; returns whether it was in time."""
    limit = Deadline(session.clock, timeout)
    while not is_done():
        left = limit.left()
        if left <= 0:
            return False
        records.feed(session.read(min(left, 1.0)))
    return True


def _timed_out(session: ConsoleSession, command: str, timeout: float) -> CommandTimeoutError:
    message = f"{session.vm.name}: {command!r} did not end within {timeout:g} s (on its console)"
    hint = "its output is lost: through a console it comes when it is complete"
    return CommandTimeoutError(message, command=command, out="", err="", hint=hint)


def _no_shell(session: ConsoleSession) -> ConsoleError:
    told = session.timed_out("").console
    shown = f"; it shows: {told[-1]!r}" if told else "; it shows nothing"
    return ConsoleError(
        session.vm.name,
        f"nobody obeys at the console of {session.vm.name!r}{shown}",
        hint="the guest needs a login or shell on ttyS0; see what is there: lagoctl console "
        + session.vm.name,
    )
