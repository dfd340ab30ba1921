"""What plugins have to be: each function returns what a plugin gives, or raises ``TypeError``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lago_sdk.ports import PluginKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lago_sdk.ports import ServiceProvider, VMProvider

_SERVICE_PARTS = ("name", "is_present", "find_state", "act", "explain")
_MACHINE_PARTS = (
    "name", "has_power", "find_address", "find_state", "start", "stop", "shutdown",
)  # fmt: skip


def accept_callable(value: object) -> Callable[..., object]:
    """Return *value*, which can be called.

    Raises:
        TypeError: It cannot.
    """
    if not callable(value):
        raise TypeError(f"{value!r} cannot be called")
    return value


def accept_service_provider(value: object, name: str) -> ServiceProvider:
    """Return the service provider that the plugin *name* makes.

    Raises:
        TypeError: It is none.
    """
    return cast("ServiceProvider", _make(value, name, _SERVICE_PARTS))


def accept_vm_provider(value: object, name: str) -> VMProvider:
    """Return the VM provider that the plugin *name* makes.

    Raises:
        TypeError: It is none.
    """
    return cast("VMProvider", _make(value, name, _MACHINE_PARTS))


def _make(value: object, name: str, parts: tuple[str, ...]) -> object:
    made = _check_parts(accept_callable(value)(), parts, value)
    own: object = made.name  # type: ignore[attr-defined] # it was looked for
    if own != name:
        raise TypeError(f"it calls itself {own!r}, and its entry point {name!r}")
    return made


def _check_parts(made: object, parts: tuple[str, ...], maker: object) -> object:
    missing = [part for part in parts if not hasattr(made, part)]
    if missing:
        raise TypeError(f"what {maker!r} makes lacks: {', '.join(missing)}")
    return made


def accept(kind: PluginKind, value: object) -> object:
    """Return what a plugin of some kind gives, as far as that can be told by itself.

    Raises:
        TypeError: It is not what it ought to be.
    """
    made = accept_callable(value)
    parts = {
        PluginKind.SERVICE_PROVIDER: _SERVICE_PARTS,
        PluginKind.VM_PROVIDER: _MACHINE_PARTS,
    }.get(kind)
    return made if parts is None else _check_parts(made(), parts, value)
