"""Gathering settings from files, the environment and arguments; the later wins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lago_sdk.errors import ConfigError, suggest
from lago_sdk.events import Note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lago_sdk.adapters.settings import RawSetting
    from lago_sdk.config.values import Setting
    from lago_sdk.events import Observer

ROOT_SECTION = "lago"
"""Section of the settings that hold for every verb."""

_LOGIN = "libvirt's own auth.conf holds the passwords of remote hosts"
_WITHOUT_EFFECT = {
    "libvirt_user": _LOGIN,
    "libvirt_username": _LOGIN,
    "libvirt_password": _LOGIN,
    "ssh_tries": "waits have deadlines: see boot_timeout and ssh_timeout",
    "reposync_dir": "it belonged to Lago's oVirt plugin",
    "ignore_warnings": "use loglevel = error",
    "default_vm_type": "the init file says it: vm-type",
    "default_vm_provider": "the init file says it: vm-provider",
}
"""Lago's settings that do nothing here, and why or what to use."""

_INIT_SETTINGS = frozenset(
    {"template_store", "template_repo_path", "template_repo_name", "template_repos"}
)
"""Lago kept these in ``[init]``; there they hold for every verb, as templates concern many."""


def gather_values(
    known: Mapping[str, Setting],
    arguments: Mapping[str, object],
    *,
    env: Mapping[str, str] | None,
    files: Iterable[Path] | None,
    verb: str | None,
    observer: Observer,
) -> dict[str, Any]:
    """Return the values that are set somewhere, by name; see `Config.load`.

    Args:
        known: The settings there are, by name.
        arguments: Values by name, of the field's type or as text; ``None`` means not given.
        env: The environment; the process's when ``None``.
        files: Files in rising precedence; where they are looked for by default when ``None``.
        verb: The verb whose own section counts as well.
        observer: Told of unknown names and empty variables.

    Raises:
        ConfigError: A file cannot be read, a value makes no sense, or there is no such argument.
    """
    from lago_sdk.adapters.settings import list_setting_files, read_environment, read_files

    raw = read_files(list_setting_files() if files is None else files)
    raw += read_environment(os.environ if env is None else env)
    values: dict[str, Any] = {}
    for item in raw:
        name = _find_name(item, known, observer)
        if name is not None:
            value = _parse_value(known[name], name, item.value, item.origin)
            if _applies(item, name, verb):
                values[name] = value
    values.update(_check_arguments(known, arguments))
    return values


def _find_name(item: RawSetting, known: Mapping[str, Setting], observer: Observer) -> str | None:
    """The field that *item* sets, or ``None`` after telling why there is none."""
    if not item.value:
        observer(Note(message=f"{item.origin} is empty and has no effect", warning=True))
        return None
    name = item.name.replace("-", "_")
    if name in known:
        return name
    for field, setting in known.items():
        if name in setting.aliases:
            return field
    if name in _WITHOUT_EFFECT:
        observer(Note(message=f"{item.origin}: {name!r} has no effect: {_WITHOUT_EFFECT[name]}"))
        return None
    hint = suggest(name, known) or ""
    # Variables named LAGO_SOMETHING may be the user's own, meant for the init file.
    if not item.from_environment or hint.startswith("did you mean"):
        text = f"{item.origin}: there is no setting {name!r}"
        text += f"; {hint}" if hint.startswith("did you mean") else ""
        observer(Note(message=text, warning=True))
    return None


def _applies(item: RawSetting, name: str, verb: str | None) -> bool:
    if item.section == ROOT_SECTION or item.section == verb:
        return True
    return item.section == "init" and name in _INIT_SETTINGS


def _parse_value(setting: Setting, name: str, text: str, origin: str) -> object:
    try:
        return setting.parse(text)
    except ValueError as error:
        raise ConfigError(
            f"{origin}: {text!r} is no value for {name!r}", hint=f"expected {error}"
        ) from None


def _check_arguments(
    known: Mapping[str, Setting], arguments: Mapping[str, object]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}", hint=suggest(name, known))
        if value is not None:
            is_text = isinstance(value, (str, Path))
            values[name] = (
                _parse_value(known[name], name, str(value), "argument") if is_text else value
            )
    return values
