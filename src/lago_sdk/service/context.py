"""All that the services of one prefix work with, as one bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.plan.models import Plan
from lago_sdk.service.guests import Guests
from lago_sdk.service.journal import Journal
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.world import World

if TYPE_CHECKING:
    from lago_sdk.ports import Hypervisor


@attrs.frozen(kw_only=True)
class PrefixContext:
    """A prefix that is complete: what was decided, where it lies, and the ports."""

    plan: Plan
    layout: PrefixLayout
    world: World
    journal: Journal
    guests: Guests

    @property
    def hypervisor(self) -> Hypervisor:
        """The open connection to the libvirtd of its host.

        Raises:
            HostError: The host is not up, or its libvirtd does not answer.
        """
        return self.world.host.hypervisor()
