"""Names that libvirt, the kernel and file systems accept, and that never collide."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DEVICE_NAME = 15
"""Longest name of a network device (Linux: ``IFNAMSIZ`` less the closing NUL)."""

_MIN_LENGTH = 6
_SHORT_LIMIT = 16
"""Below this ``max_length`` Lago spends four digits on the uuid, not eight."""
_SHORT_UUID = 4
_LONG_UUID = 8

_DEVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_FILE_STEM = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", re.ASCII)
_UNSAFE_IN_FILES = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)
_MAX_FILE_PART = 100
_MAX_FILE_STEM = 200
"""Characters of a file name before its suffix; file systems take 255 bytes in all."""


def prefixed_name(uuid: str, name: str, max_length: int | None = None) -> str:
    """Return *name* with the first digits of the prefix's uuid before it, as Lago wrote it.

    Args:
        uuid: The prefix's uuid, 32 hex digits.
        name: What is named.
        max_length: Longest result in characters. Below 16 the uuid gives four digits, else eight,
            and a name that is too long is replaced by leading digits of its SHA-1.

    Raises:
        ValueError: *max_length* is less than 6.
    """
    if max_length is None:
        return f"{uuid[:_LONG_UUID]}-{name}"
    if max_length < _MIN_LENGTH:
        raise ValueError(f"a prefixed name needs at least {_MIN_LENGTH} characters")
    head = uuid[: _SHORT_UUID if max_length < _SHORT_LIMIT else _LONG_UUID]
    room = max_length - len(head) - 1
    if len(name) > room:
        name = _hex_digest(name)[:room]
    return f"{head}-{name}"


def allocate_device_name(uuid: str, name: str, taken: Collection[str]) -> str:
    """Return a name for a network and its bridge device that is not in *taken*.

    It is Lago's :func:`prefixed_name` of at most 15 characters where the kernel accepts that and
    nobody has it; else the name is hashed. It always begins with four digits of the uuid.

    Args:
        uuid: The prefix's uuid, 32 hex digits.
        name: The net's name.
        taken: Names that are in use, those already allocated to other nets included.
    """
    plain = prefixed_name(uuid, name, MAX_DEVICE_NAME)
    if _DEVICE_NAME.fullmatch(plain) and plain not in taken:
        return plain
    attempt = 0
    while True:
        # The whole uuid goes in: two prefixes with the same first digits differ here.
        hashed = prefixed_name(uuid, _hex_digest(f"{uuid}/{name}/{attempt}"), MAX_DEVICE_NAME)
        if hashed not in taken:
            return hashed
        attempt += 1


def allocate_file_stem(*parts: str, taken: Collection[str]) -> str:
    """Return a file name without its suffix, made of *parts* joined by ``_``.

    Parts that are harmless stay as they are; others have each strange character replaced and a
    hash added, which is added also where the plain stem is in *taken*.
    """
    plain = "_".join(parts)
    if len(plain) <= _MAX_FILE_STEM and _FILE_STEM.fullmatch(plain) and plain not in taken:
        return plain
    safe = "_".join(_UNSAFE_IN_FILES.sub("_", part)[:_MAX_FILE_PART] for part in parts)
    safe = safe if not safe.startswith(".") else f"_{safe}"
    attempt = 0
    while True:
        # A NUL cannot be in a name, so ("a_b", "c") and ("a", "b_c") hash differently.
        digest = _hex_digest("\0".join((*parts, str(attempt))))
        stem = f"{safe}-{digest[:8]}"
        if stem not in taken:
            return stem
        attempt += 1


def _hex_digest(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
