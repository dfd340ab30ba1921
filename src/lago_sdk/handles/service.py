"""The handle of one service in a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.state import ServiceAction, ServiceState

if TYPE_CHECKING:
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import RunInGuest
    from lago_sdk.service.context import PrefixContext


class Service:
    """A service of a guest: a unit of systemd, an init script, or a container.

    Get it from ``vm.service(name)``. Which manager the guest has is found out at first use, and
    remembered in the prefix; ``service_provider`` in the init file names it instead. Each method
    runs commands over ssh and raises what ``vm.ssh`` raises.
    """

    def __init__(self, name: str, vm: VMPlan, *, run: RunInGuest, context: PrefixContext) -> None:
        """Use ``vm.service(name)``."""
        self._name = name
        self._vm = vm
        self._run = run
        self._context = context

    def __repr__(self) -> str:
        """``<Service nginx of web>``."""
        return f"<Service {self._name} of {self._vm.name}>"

    @property
    def name(self) -> str:
        """Its name; ``CONTAINER/UNIT`` for a unit inside of a container."""
        return self._name

    @property
    def state(self) -> ServiceState:
        """Its state now.

        Raises:
            ServiceError: Nothing that we know manages services there.
        """
        from lago_sdk.service.provisioning.services import find_service_state

        return find_service_state(self._vm, self._name, run=self._run, context=self._context)

    def exists(self) -> bool:
        """Whether the guest has a service of that name."""
        return self.state is not ServiceState.MISSING

    def is_alive(self) -> bool:
        """Whether it is active."""
        return self.state is ServiceState.ACTIVE

    def start(self) -> bool:
        """Start it; returns false when it was active already.

        Raises:
            ServiceError: There is none of that name, or it failed; the hint tells what is known.
        """
        return self._change(ServiceAction.START)

    def stop(self) -> bool:
        """Stop it; returns false when it was inactive already.

        Raises:
            ServiceError: There is none of that name, or it does not stop.
        """
        return self._change(ServiceAction.STOP)

    def restart(self) -> None:
        """Stop it where it is active, and start it.

        Raises:
            ServiceError: There is none of that name, or it failed; the hint tells what is known.
        """
        self._change(ServiceAction.RESTART)

    def _change(self, action: ServiceAction) -> bool:
        from lago_sdk.service.provisioning.services import change_service

        return change_service(self._vm, self._name, action, run=self._run, context=self._context)
