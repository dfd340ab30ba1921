"""Finding VMs and nets by name, in specs and in plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from lago_sdk.errors import NetNotFoundError, VMNotFoundError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def get_vm(vms: Sequence[N], name: str) -> N:
    """Return the one of *vms* that is called *name*.

    Raises:
        VMNotFoundError: There is none; the hint names those there are.
    """
    for vm in vms:
        if vm.name == name:
            return vm
    hint = suggest(name, (vm.name for vm in vms))
    raise VMNotFoundError(name, f"the prefix has no VM {name!r}", hint=hint)


def get_net(nets: Sequence[N], name: str) -> N:
    """Return the one of *nets* that is called *name*.

    Raises:
        NetNotFoundError: There is none; the hint names those there are.
    """
    for net in nets:
        if net.name == name:
            return net
    hint = suggest(name, (net.name for net in nets))
    raise NetNotFoundError(f"the prefix has no net {name!r}", hint=hint)
