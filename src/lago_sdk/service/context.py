"""All that the services of one prefix work with, as one bundle."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from lago_sdk.events import stage
from lago_sdk.plan.models import Plan
from lago_sdk.service.guests.connections import Guests
from lago_sdk.service.journal import Journal
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.events import Stage
    from lago_sdk.ports import Hypervisor


@attrs.frozen(kw_only=True)
class PrefixContext:
    """A prefix that is complete: what was decided, where it lies, and the ports."""

    plan: Plan
    layout: PrefixLayout
    world: World
    journal: Journal
    guests: Guests

    @contextmanager
    def step(self, name: str, subject: str) -> Iterator[Stage]:
        """Tell the observer of a stage, and write its intent and its end into the journal."""
        with stage(self.world.observe, name, subject) as running, self.journal.step(name, subject):
            yield running

    @property
    def hypervisor(self) -> Hypervisor:
        """The open connection to the libvirtd of its host.

        Raises:
            HostError: The host is not up, or its libvirtd does not answer.
        """
        return self.world.host.hypervisor()
