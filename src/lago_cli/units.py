"""Sizes and durations as people write and read them."""

import re
import time

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)
_LETTERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def format_size(size: float) -> str:
    """Write a number of bytes with three digits: ``270 MiB``."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f} {_SIZES[unit]}"


def format_duration(seconds: float) -> str:
    """Write a duration as a clock does: ``0:07``, ``1:02:03``."""
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_date(seconds: float) -> str:
    """Write a moment, in seconds since the epoch, as ISO 8601 does."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def parse_size(text: str) -> int:
    """Read a size in bytes: ``20G``, ``1.5T``, ``500MiB``; the letters are powers of 1024.

    Raises:
        LagoError: It is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        from lago_sdk import LagoError

        raise LagoError(f"{text!r} is no size", hint="write it as 500M, 20G or 1.5T")
    return int(float(match[1]) * 1024.0 ** _LETTERS[match[2].upper()])


def parse_duration(text: str) -> float:
    """Read a duration in seconds: ``30d``, ``12h``, ``2w``; 0 needs no unit.

    Raises:
        LagoError: It is none.
    """
    if text.strip() == "0":
        return 0.0
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        from lago_sdk import LagoError

        raise LagoError(f"{text!r} is no duration", hint="write it as 90m, 12h, 30d or 2w")
    return float(match[1]) * _SECONDS[match[2]]
