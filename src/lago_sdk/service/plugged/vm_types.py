"""Handles of VMs that are of a plugin's own class: ``vm-type`` of the init file."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lago_sdk.errors import suggest
from lago_sdk.events import Note
from lago_sdk.ports import BUILT_IN, PluginKind
from lago_sdk.service.plugged.shapes import accept_callable

if TYPE_CHECKING:
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.world import World

T = TypeVar("T")

_KIND = PluginKind.VM_TYPE


def find_vm_type(prefix: object, plan: VMPlan, base: type[T], world: World) -> T | None:
    """Return the handle that the plugin of the VM's type makes.

    Where nobody can, the user is told and a plain handle will do: the VM itself is the same.

    Args:
        prefix: The prefix, for the plugin.
        plan: The VM's plan; its spec names a type.
        base: What a handle has to be.
        world: The ports.
    """
    name = plan.spec.vm_type
    assert name is not None

    def make(value: object) -> T:
        made = accept_callable(value)(prefix, plan)
        if not isinstance(made, base):
            raise TypeError(f"{value!r} makes no {base.__name__}, but {type(made).__name__}")
        return made

    found = world.plugins.find(_KIND, name, make)
    if found is None:
        known = (*BUILT_IN[_KIND], *world.plugins.list_names(_KIND))
        if name not in known:
            hint = suggest(name, known)
            text = f"no plugin knows the vm-type {name!r} of {plan.name!r}: it is a plain VM"
            world.observe(Note(message=f"{text} ({hint})" if hint else text, warning=True))
    return found
