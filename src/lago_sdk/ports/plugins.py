"""What others add to the library: packages that declare entry points in our groups.

Source: the entry points specification of PyPA
(https://packaging.python.org/specifications/entry-points/).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")


class PluginKind(enum.Enum):
    """What a plugin can be; the value is the group of its entry point."""

    VM_TYPE = "lago_sdk.vm_types"
    """A subclass of `lago_sdk.VM`, or a function of a prefix and a plan that makes one."""
    VM_PROVIDER = "lago_sdk.vm_providers"
    """A function without arguments (a class, say) that gives a `VMProvider`."""
    SERVICE_PROVIDER = "lago_sdk.service_providers"
    """A function without arguments (a class, say) that gives a `ServiceProvider`."""
    OUTPUT = "lago_sdk.outputs"
    """A function that makes text of data."""
    COMMAND = "lago_sdk.commands"
    """A function or a typer app that becomes a verb of lagoctl."""

    @property
    def words(self) -> str:
        """What it is, for messages: ``vm type``."""
        return self.name.lower().replace("_", " ")


BUILT_IN = {
    PluginKind.VM_TYPE: frozenset({"default"}),
    PluginKind.VM_PROVIDER: frozenset({"local-libvirt", "ssh"}),
    PluginKind.SERVICE_PROVIDER: frozenset({"systemd", "sysvinit", "systemdcontainer"}),
    PluginKind.OUTPUT: frozenset({"default", "json", "yaml", "flat"}),
    PluginKind.COMMAND: frozenset[str](),
}
"""The library's own names, which no plugin can take; lagoctl knows its verbs itself."""


@attrs.frozen(kw_only=True)
class PluginInfo:
    """A plugin that is installed, and whether it can be used."""

    kind: PluginKind
    name: str
    """By which it is called in init files and on the command line."""
    package: str
    """The package that brings it, with its version: ``lago-example 1.0``."""
    problem: str = ""
    """Why it cannot be used; empty where it can."""


class Plugins(Protocol):
    """The plugins that are installed; each is imported when it is asked for."""

    def list_names(self, kind: PluginKind, *, taken: Collection[str] = ()) -> tuple[str, ...]:
        """Return the names of the plugins of one kind, without importing any.

        Args:
            kind: The kind.
            taken: Further names that plugins must not have; those that do are told of.
        """

    def find(self, kind: PluginKind, name: str, accept: Callable[[object], T]) -> T | None:
        """Return what *accept* makes of a plugin; ``None`` where there is none that works.

        A plugin that cannot be imported, or that *accept* raises for, is told of once.

        Args:
            kind: The kind.
            name: Its name.
            accept: Is given what the entry point names, and raises what it likes where that is
                not what it ought to be.
        """
