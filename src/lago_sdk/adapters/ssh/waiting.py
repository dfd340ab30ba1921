"""Waiting for a login: when to try again, how long to let a try take, what to tell at the end.

A guest that boots passes through stages (:class:`~lago_sdk.adapters.ssh.stages.Stage`), and each
asks for another patience. A SYN to an address that nobody has yet is answered by nothing for 3 s
(the neighbour table's own time-out), so most tries are cut short and the first answer is found at
once; every fourth is patient, so that a guest which answers slowly is not cut short each time.
The same goes for the banner: a port forwarding accepts for a guest that does not listen yet.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.ssh.stages import Limits, Reached, Stage
from lago_sdk.errors import HostKeyChangedError, SSHError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORT_CONNECT = 0.5
_LONGEST_CONNECT = 8.0
_SHORT_TRIES = 3
_SHORT_BANNER = 3.0
_LONGEST_BANNER = 15.0
_SHORTEST_PAUSE = 0.03
_LONGEST_PAUSE = 0.5
_LATENESS = 0.1
"""The share of the time spent in a stage by which its end may be noticed late."""
_LOGIN_PAUSE = 1.0
"""Between two refused logins: keys may come late, and servers count the refusals."""


def limits_of_tries(short: float, longest: float) -> Iterator[float]:
    """Yield the time-outs, in seconds, of one try after another, without end.

    Args:
        short: Of three tries in four.
        longest: What the fourth grows to, doubled each time.
    """
    patient = 2 * short
    while True:
        yield from itertools.repeat(short, _SHORT_TRIES)
        yield min(patient, longest)
        patient = min(2 * patient, longest)


def pause_after(stage: Stage, seconds_in_stage: float) -> float:
    """Return the seconds to wait before the next try."""
    if stage is Stage.LOGIN_REFUSED:
        return _LOGIN_PAUSE
    return min(max(_LATENESS * seconds_in_stage, _SHORTEST_PAUSE), _LONGEST_PAUSE)


class LoginWait:
    """One wait for a login.

    Args:
        guest: Name of the VM, for messages.
        attempt: Tries to log in within the limits, telling ``Reached``; raises ``SSHError``.
        is_hopeless: Whether an error of *attempt* means that no further try can succeed.
        port: The port that is tried, for messages.
    """

    def __init__(
        self,
        *,
        guest: str,
        attempt: Callable[[Limits, Reached], None],
        is_hopeless: Callable[[SSHError], bool],
        port: int,
    ) -> None:
        self._guest = guest
        self._attempt = attempt
        self._is_hopeless = is_hopeless
        self._furthest = Reached(port=port)
        self._banner_limits = limits_of_tries(_SHORT_BANNER, _LONGEST_BANNER)
        self._banner_limit = next(self._banner_limits)

    def run(
        self, timeout: float, explain: Callable[[], str], give_up: Callable[[], None] | None
    ) -> float:
        """Try until a login works; returns the seconds it took.

        Raises:
            WaitTimeoutError: *timeout* seconds have passed.
            SSHError: A try failed in a way that no further try can mend.
        """
        begin = stage_begin = time.monotonic()
        end = begin + timeout
        stage = Stage.NO_ANSWER
        for connect_limit in limits_of_tries(_SHORT_CONNECT, _LONGEST_CONNECT):
            if give_up is not None:
                give_up()
            reached = Reached(port=self._furthest.port)
            error = self._try(connect_limit, end, reached)
            now = time.monotonic()
            if error is None:
                return now - begin
            if reached.stage is not stage:
                stage, stage_begin = reached.stage, now
            pause = pause_after(stage, now - stage_begin)
            if now + pause >= end:
                raise self._timed_out(timeout, error, explain) from error
            time.sleep(pause)
        raise AssertionError("limits_of_tries has no end")

    def _try(self, connect_limit: float, end: float, reached: Reached) -> SSHError | None:
        limits = Limits(connect=connect_limit, banner=self._banner_limit)
        try:
            self._attempt(limits.within(end - time.monotonic()), reached)
        except HostKeyChangedError:
            raise
        except SSHError as error:
            if self._is_hopeless(error):
                raise
            if reached.stage is Stage.OPEN:
                self._banner_limit = next(self._banner_limits)
            if reached.stage >= self._furthest.stage:
                self._furthest = reached
            return error
        return None

    def _timed_out(
        self, timeout: float, error: SSHError, explain: Callable[[], str]
    ) -> WaitTimeoutError:
        known = explain().strip()
        message = f"{self._guest}: no login by ssh within {timeout:g} s"
        message += f" ({known})" if known else ""
        hint = f"last try: {error.message}"
        hint += f"; {error.hint}" if error.hint else ""
        return WaitTimeoutError(message, stage=str(self._furthest), hint=hint)
