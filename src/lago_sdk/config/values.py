"""Values of settings: their kinds, and how their text is read."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable
from pathlib import Path

import attrs

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)


class AccelChoice(enum.Enum):
    """What shall execute guests' instructions."""

    AUTO = "auto"
    """KVM where it works, else TCG."""
    KVM = "kvm"
    TCG = "tcg"


class LogLevel(enum.Enum):
    """How much the command line tells on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OutFormat(enum.Enum):
    """How the command line writes data on standard output."""

    DEFAULT = "default"
    """Lago's indented text."""
    JSON = "json"
    YAML = "yaml"
    FLAT = "flat"
    """One ``path/to/key: value`` a line."""


@attrs.frozen(kw_only=True)
class Setting:
    """What a field of :class:`Config` means and how its text is read."""

    doc: str
    """A sentence or two; the comment in generated files."""
    parse: Callable[[str], object]
    """Text to value; raises ``ValueError`` with the words that complete "expected …"."""
    aliases: tuple[str, ...] = ()
    """Other names, Lago's mostly."""


def parse_path(text: str) -> Path:
    """Return a path, absolute; ``~`` and variables are expanded."""
    return Path(os.path.expandvars(text)).expanduser().absolute()


def parse_enum(kind: type[enum.Enum]) -> Callable[[str], enum.Enum]:
    """Return what reads a word of *kind*."""

    def parse(text: str) -> enum.Enum:
        try:
            return kind(text.lower())
        except ValueError:
            choices = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"one of: {choices}") from None

    return parse


def parse_format(text: str) -> OutFormat | str:
    """Return the format; a word that is none of ours may be a plugin's."""
    try:
        return OutFormat(text.lower())
    except ValueError:
        return text


def parse_int(minimum: int) -> Callable[[str], int]:
    """Return what reads a whole number of *minimum* or more."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("a whole number") from None
        if value < minimum:
            raise ValueError(f"a whole number of {minimum} or more")
        return value

    return parse


def parse_seconds(text: str) -> float:
    """Return seconds, above 0."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number of seconds") from None
    if not 0 < value < float("inf"):
        raise ValueError("a number of seconds above 0")
    return value


def parse_duration(text: str) -> float:
    """Return a duration in seconds; a number without a unit is of them."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError("a duration such as 90m, 12h, 30d or 2w")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_size(text: str) -> int:
    """Return a size in bytes; letters are powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("a size such as 500M, 20G or 1.5T")
    return int(float(match[1]) * 1024.0 ** " KMGTP".index(match[2].upper() or " "))


def parse_list(text: str) -> tuple[str, ...]:
    """Return what stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_host(text: str) -> str:
    """Return a kind of host, or a libvirt URI."""
    if text in {"auto", "private", "system"}:
        return text
    if text == "qemu:///system":
        return "system"
    if "://" in text:
        return text
    raise ValueError("auto, private, system or a libvirt URI such as qemu+ssh://root@lab7/system")
