"""Work on many VMs at once: bounded, with all failures gathered, and interruptible."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from lago_sdk.plan.facts import Accel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.service.world import World

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAKE_UP = 0.2
"""Seconds between looks at signals while threads work: Ctrl-C reaches only the main thread."""


class Cancelled(Exception):  # noqa: N818 - it tells a fact, not an error
    """The work was given up because other work failed or the user interrupted it."""


class Cancellation:
    """A flag that long work looks at, so that it can be given up in the middle."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask everybody to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise `Cancelled` when somebody asked."""
        if self._event.is_set():
            raise Cancelled


def count_boots(world: World, facts: HostFacts) -> int:
    """Return how many guests shall boot at once."""
    asked = world.config.parallel_starts
    if asked:
        return asked
    # An emulated boot keeps a whole core busy: more at once only delays the first to answer.
    return world.cpus if facts.accel is Accel.TCG else 4 * world.cpus


def run_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    limit: int,
    message: str,
    cancellation: Cancellation | None = None,
    keep_going: bool = False,
) -> tuple[Result, ...]:
    """Call *work* for each item in threads of their own and return the results in order.

    Args:
        work: Called once for each item.
        items: What to work on.
        limit: How many calls run at once.
        message: What failed, for the group of errors: ``"2 VMs did not start"`` is made from it.
        cancellation: Set when the first call fails or the user interrupts, so that the others
            can end early.
        keep_going: Call *work* for the other items although one failed, and let the calls that
            run be; an interruption still ends them.

    Raises:
        Exception: What *work* raised, when one call failed.
        ExceptionGroup: What the calls raised, when several failed.
    """
    todo = tuple(items)
    if not todo:
        return ()
    flag = cancellation or Cancellation()
    with ThreadPoolExecutor(max_workers=max(1, min(limit, len(todo)))) as pool:
        try:
            futures = [pool.submit(work, item) for item in todo]
            _wait_for(futures, flag, keep_going=keep_going)
        except BaseException:
            # Ctrl-C may come while the first threads work and others are still being started.
            flag.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _results(futures, message)


def _wait_for(futures: list[Future[Result]], flag: Cancellation, *, keep_going: bool) -> None:
    """Return when all futures are done; raise the flag at the first failure that counts."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_WAKE_UP, return_when=FIRST_COMPLETED)
        failed = any(not future.cancelled() and future.exception() for future in done)
        if failed and not keep_going:
            flag.cancel()
            for future in pending:
                future.cancel()


def _results(futures: list[Future[Result]], message: str) -> tuple[Result, ...]:
    errors = [
        error
        for future in futures
        if not future.cancelled() and (error := future.exception()) is not None
    ]
    real = [error for error in errors if not isinstance(error, Cancelled)]
    if len(real) == 1:
        raise real[0]
    if real:
        raise BaseExceptionGroup(message, real)
    if errors:
        raise errors[0]
    return tuple(future.result() for future in futures)
