"""The connections to the guests of one prefix: one for each VM, opened at first use, kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lago_sdk.service.marks import note_use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Guest, SSHTarget
    from lago_sdk.service.layout import PrefixLayout


class Guests:
    """Hands out the connection to a guest; safe to use from several threads."""

    def __init__(self, open_guest: Callable[[SSHTarget], Guest], layout: PrefixLayout) -> None:
        self._open = open_guest
        self._layout = layout
        self._guests: dict[str, Guest] = {}
        self._mutex = threading.Lock()

    def get(self, vm: VMPlan) -> Guest:
        """Return the connection to the guest of *vm*.

        Raises:
            VMError: The VM has no address.
        """
        from lago_sdk.service.guests.reach import ssh_target

        note_use(self._layout, vm.name)
        with self._mutex:
            if vm.name not in self._guests:
                self._guests[vm.name] = self._open(ssh_target(vm, self._layout))
            return self._guests[vm.name]

    def is_known(self, name: str) -> bool:
        """Whether there is a connection to the VM *name* already."""
        return name in self._guests

    def rest(self, name: str, seconds: float) -> tuple[int, ...]:
        """Wait until the guest of the VM *name* has all that was sent; nothing follows unasked.

        Returns:
            Our ports of the connections to it.
        """
        with self._mutex:
            guest = self._guests.get(name)
        return () if guest is None else guest.rest(seconds)

    def forget(self, names: Iterable[str] | None = None, *, abort: bool = False) -> None:
        """Close the connections to the VMs called *names*; all for ``None``.

        Args:
            names: Names of VMs.
            abort: The guests will not know of them; see `lago_sdk.ports.Guest.close`.
        """
        with self._mutex:
            for name in tuple(self._guests) if names is None else tuple(names):
                guest = self._guests.pop(name, None)
                if guest is not None:
                    guest.close(abort=abort)
