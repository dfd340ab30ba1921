"""Prefixes that hold something they share with others, known by their uuid files.

A reservation names its holder by the path of the prefix's uuid file and the uuid in it. It is
stale, and anybody's to remove, once that file is missing or has another content: no clean-up is
owed for a prefix that was removed by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_gone(uuid_path: Path, uuid: str) -> bool:
    """Whether the prefix with the uuid file *uuid_path* is not the one called *uuid* any more.

    A uuid file that we may not read is taken to be there: it is somebody else's.
    """
    try:
        return uuid_path.read_text().strip() != uuid
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, UnicodeDecodeError):
        return False
