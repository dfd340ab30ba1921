"""Names and versions of templates, which are parts of paths."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from lago_sdk.errors import TemplateError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")


def is_name(text: str) -> bool:
    """Whether *text* can be a template's name or version."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return *name*, which can be a template's name or version, and so part of a path.

    Raises:
        TemplateError: It cannot.
    """
    if not is_name(name):
        raise TemplateError(
            f"{name!r} cannot be the name or version of a template",
            hint="letters, digits and . _ + ~ - are allowed; the first is a letter or digit",
        )
    return name


def split_reference(reference: str) -> tuple[str, str | None]:
    """Return name and version of ``name`` or ``name:version``.

    Raises:
        TemplateError: One of them is unusable.
    """
    name, colon, version = reference.partition(":")
    return check_name(name), check_name(version) if colon else None


def find_layer_reference(backing: str) -> str | None:
    """Return ``name:version`` where a backing file's name tells the template that it is.

    As Lago exported layers: ``./name:version``, or ``./repository:name:version``.
    """
    parts = PurePosixPath(backing).name.split(":")
    if len(parts) in {2, 3} and all(is_name(part) for part in parts):
        return ":".join(parts[-2:])
    return None
