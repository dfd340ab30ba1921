"""The cut: one moment at which all VMs stand still.

What one of them knows of another at that moment stays true when they all go on from it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from lago_sdk.events import Note
from lago_sdk.service.parallel import run_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.context import PrefixContext

AT_ONCE = 16
"""VMs that are worked on at the same time: while one is saved, all stand still."""


class Cut:
    """Keeps VMs paused for a block; they run on after it, whatever happens.

    Args:
        context: The prefix.
        vms: Those that run; a VM that somebody else has paused stays so.

    Attributes:
        seconds: How long they stood still, once the block has ended.
    """

    def __init__(self, context: PrefixContext, vms: Iterable[VMPlan]) -> None:
        self._context = context
        self._vms = tuple(vms)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        """Pause them."""
        self._begin = time.monotonic()
        try:
            pause(self._context, self._vms)
        except BaseException:
            self._resume_surely()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let them run on."""
        if error is None:
            resume(self._context, self._vms)
        else:
            self._resume_surely()
        if self._vms:
            self.seconds = time.monotonic() - self._begin

    def _resume_surely(self) -> None:
        """Let them run on although something failed, which is what is told."""
        try:
            resume(self._context, self._vms)
        except Exception as error:  # noqa: BLE001 - the first failure is being raised
            text = f"not every VM runs on: {error}"
            self._context.world.observe(Note(message=text, warning=True))


def pause(context: PrefixContext, vms: Iterable[VMPlan]) -> None:
    """Pause VMs that run, all at once."""
    run_parallel(
        lambda vm: context.hypervisor.suspend_domain(vm.domain),
        vms,
        limit=AT_ONCE,
        message="several VMs could not be paused",
        keep_going=True,
    )


def resume(context: PrefixContext, vms: Iterable[VMPlan]) -> None:
    """Let VMs run on, all at once; those that are off stay so."""

    def run_on(vm: VMPlan) -> None:
        info = context.hypervisor.find_domain(vm.domain)
        if info is not None and info.state.is_active:
            context.hypervisor.resume_domain(vm.domain)

    run_parallel(
        run_on,
        vms,
        limit=AT_ONCE,
        message="several VMs do not run on",
        keep_going=True,
    )
