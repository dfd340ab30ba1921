"""Variables in the paths of an init file, expanded without a shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return *text* with ``$NAME`` and ``${NAME}`` replaced, and a leading ``~/`` by the home.

    A variable that is not in *environ* stays as it is written, as in Lago.

    Args:
        text: A path or URL of an init file.
        environ: Values by name; ``HOME`` is what ``~`` means.
    """
    if (text == "~" or text.startswith("~/")) and "HOME" in environ:
        text = environ["HOME"] + text[1:]
    return _VARIABLE.sub(lambda found: environ.get(found[1] or found[2], found[0]), text)
