"""The arguments of virt-customize, from the options of a ``build`` step.

Lago's rules: a key of one letter is a short option, any other a long one; an option without a
value is a flag; a list repeats the option. Source of the options: virt-customize(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lago_sdk.errors import LagoError

_INJECT = "ssh-inject"
"""Without a value it lets the prefix's key in."""


def render_options(options: Mapping[str, object], *, public_key: str) -> tuple[str, ...]:
    """Return the arguments of virt-customize for the options of one step, in their order.

    Args:
        options: As the init file has them; ``true`` is a flag as well, ``false`` leaves it out.
        public_key: Path of the prefix's public key, which an empty ``ssh-inject`` takes.

    Raises:
        LagoError: A value is a map, or an option has no name.
    """
    arguments: list[str] = []
    for name, value in options.items():
        if not name or name.startswith("-"):
            message = f"{name!r} cannot be an option of virt-customize"
            raise LagoError(message, hint="write it without the dashes")
        option = f"-{name}" if len(name) == 1 else f"--{name}"
        values = _list_values(name, value)
        if name == _INJECT:
            values = [inner or f"root:file:{public_key}" for inner in values]
        for inner in values:
            arguments += [option] if inner is None else [option, inner]
    return tuple(arguments)


def _list_values(name: str, value: object) -> list[str | None]:
    """Return what to give the option: once for each item, ``None`` for a flag."""
    if value is None or value is True or value == "":
        return [None]
    if value is False:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [inner for item in value for inner in _list_values(name, item)] or [None]
    if isinstance(value, str | int | float):
        return [str(value)]
    kind = "a map" if isinstance(value, Mapping) else type(value).__name__
    raise LagoError(f"the option {name!r} of virt-customize cannot be {kind}")
