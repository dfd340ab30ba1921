"""Settings as a commented INI file."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from lago_sdk.config.gather import ROOT_SECTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.config.values import Setting


def render_ini(rows: Iterable[tuple[str, Setting, object, object]]) -> str:
    """Write settings as a commented INI file: those at their default as comments.

    Args:
        rows: Name, meaning, value and default of each.
    """
    lines = [
        "# Settings of lago_sdk and lagoctl.",
        "# A section named after a verb, such as [up], overrides [lago] for that verb.",
        "",
        f"[{ROOT_SECTION}]",
    ]
    for name, setting, value, default in rows:
        lines += ["", *_wrap(setting.doc)]
        mark = "#" if value == default else ""
        lines.append(f"{mark}{name} = {_render_value(value)}".rstrip())
    return "\n".join(lines) + "\n"


def _render_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value.value if isinstance(value, enum.Enum) else value)


def _wrap(text: str) -> list[str]:
    from textwrap import wrap

    return [f"# {line}" for line in wrap(text, 77)]
