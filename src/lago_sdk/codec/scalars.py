"""Conversion of single values: text, numbers, sizes, booleans, words, subnets.

A converter takes a plain value and returns the typed one, or raises :class:`BadValue`. It knows
nothing of places: whoever calls it does. Numbers are taken as numbers and as numeric text
(``"1024"``), as Lago did; an unquoted word is taken as text where text is wanted.
"""

from __future__ import annotations

import difflib
import enum
import functools
import os
import re
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, TypeVar

from lago_sdk.codec.values import BOOLEAN_WORDS, BadValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lago_sdk.spec.net import SubnetChoice

E = TypeVar("E", bound=enum.Enum)

MEBIBYTE = 1024**2

_INTEGER = re.compile(r"[-+]?[0-9][0-9_]{0,40}\Z")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,40}\Z")
_SIZE = re.compile(r"([-+]?[0-9]{1,40}(?:\.[0-9]{1,40})?)\s*([A-Za-z]*)\Z")
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_NAMES = {
    dict: "a map",
    list: "a list",
    tuple: "a list",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


def describe(value: object) -> str:
    """Name *value* in a sentence: ``a list``, ``'abc'``, ``7``."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= 40 else repr(f"{value[:37]}...")
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return _NAMES.get(type(value), f"a {type(value).__name__}")


def wrong_type(expected: str, value: object, *, hint: str | None = None) -> BadValue:
    """The error for a value of another type than its key takes."""
    return BadValue(f"expected {expected}, not {describe(value)}", hint=hint, code="wrong-type")


def to_text(value: object) -> str:
    """Text; a bare number is taken as it is written."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    raise wrong_type("text", value)


def to_int(value: object) -> int:
    """An integer, or text that is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.match(text):
            return int(text.replace("_", ""))
        if _HEX.match(text):
            return int(text, 16)
    raise wrong_type("a whole number", value)


def to_bool(value: object) -> bool:
    """A boolean, or one of YAML 1.1's words for it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in {0, 1}:
        return bool(value)
    if isinstance(value, str):
        found = BOOLEAN_WORDS.get(value)
        if found is not None:
            return found
        if value in {"0", "1"}:
            return value == "1"
    raise wrong_type("true or false", value)


def to_size(value: object) -> int:
    """A size in bytes: a bare number is bytes, letters are QEMU's (``101G``, ``1.5T``)."""
    return _parse_size(value, bare=1)


def to_memory(value: object) -> int:
    """A size in MiB: a bare number is MiB, letters are QEMU's (``2G``, ``2GiB``)."""
    size = _parse_size(value, bare=MEBIBYTE)
    if size % MEBIBYTE:
        raise BadValue(
            f"{describe(value)} is not a whole number of MiB", hint="for example 512 or 2GiB"
        )
    return size // MEBIBYTE


def _parse_size(value: object, *, bare: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * bare
    text = value.strip().replace("_", "") if isinstance(value, str) else ""
    match = _SIZE.match(text)
    if match is None:
        raise wrong_type("a size", value, hint="for example 512M or 10G")
    number, unit = match.groups()
    letters = unit.lower()
    if not letters:
        factor = bare
    elif letters in {"b", "bytes"}:
        factor = 1
    else:
        letter = letters.removesuffix("ib")
        if letter not in _UNITS:
            raise BadValue(
                f"{unit!r} is not a unit of sizes",
                hint="write K, M, G or T (or KiB, MiB, GiB, TiB): powers of 1024",
                code="bad-unit",
            )
        factor = 1024 ** _UNITS[letter]
    size = Fraction(number) * factor
    if size.denominator != 1:
        raise BadValue(f"{describe(value)} is not a whole number of bytes")
    return int(size)


def enum_converter(kind: type[E]) -> Callable[[object], E]:
    """Return a converter to the enum *kind*, by value and without regard to case."""
    known = {str(member.value): member for member in kind}

    def convert(value: object) -> E:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            found = known.get(value) or known.get(value.lower())
            if found is not None:
                return found
        if not isinstance(value, str):
            raise wrong_type(f"one of {', '.join(known)}", value)
        raise BadValue(
            f"{describe(value)} is not one of {', '.join(known)}",
            hint=did_you_mean(str(value), known),
            code="unknown-word",
        )

    return convert


def to_subnet4(value: object) -> IPv4Network | SubnetChoice:
    """An IPv4 subnet in CIDR form, ``auto`` or ``none``."""
    found = _to_subnet(value)
    if isinstance(found, IPv6Network):
        raise BadValue(f"{describe(value)} is an IPv6 subnet", hint="use the key 'subnet6' for it")
    return found


def to_subnet6(value: object) -> IPv6Network | SubnetChoice:
    """An IPv6 subnet in CIDR form, ``auto`` or ``none``."""
    found = _to_subnet(value)
    if isinstance(found, IPv4Network):
        raise BadValue(f"{describe(value)} is an IPv4 subnet", hint="use the key 'subnet' for it")
    return found


def _to_subnet(value: object) -> IPv4Network | IPv6Network | SubnetChoice:
    from lago_sdk.spec.net import SubnetChoice

    if isinstance(value, (IPv4Network, IPv6Network, SubnetChoice)):
        return value
    if value is False or (isinstance(value, str) and BOOLEAN_WORDS.get(value) is False):
        return SubnetChoice.NONE
    if not isinstance(value, str):
        raise wrong_type("a subnet, auto or none", value)
    word = value.strip().lower()
    for choice in SubnetChoice:
        if word == choice.value:
            return choice
    if "/" not in word:
        raise BadValue(
            f"{describe(value)} is not a subnet",
            hint="write it in CIDR form, for example 10.10.0.0/24; or auto, or none",
            code="bad-subnet",
        )
    try:
        return ip_network(word)
    except ValueError:
        pass
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        raise BadValue(
            f"{describe(value)} is not a subnet",
            hint="write it in CIDR form, for example 10.10.0.0/24",
            code="bad-subnet",
        ) from None
    raise BadValue(
        f"{describe(value)} is an address with a prefix length, not a subnet",
        hint=f"did you mean {str(network)!r}?",
        code="bad-subnet",
    )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint when one of *known* is close to *word*, else ``None``."""
    return _find_close(word.lower(), tuple(known))


@functools.lru_cache(maxsize=256)
def _find_close(word: str, known: tuple[str, ...]) -> str | None:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else None
