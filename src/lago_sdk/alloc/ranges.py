"""A set of disjoint ranges of numbers that answers quickly what a new one overlaps."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class RangeSet:
    """Disjoint closed ranges of integers, each with the name of its owner."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ranges: list[tuple[int, int, str]] = []

    def find_overlap(self, first: int, last: int) -> str | None:
        """Return the owner of a range that overlaps ``first..last``, or ``None``."""
        # Disjoint ranges are sorted by their ends too, so the last that begins by *last* decides.
        at = bisect_right(self._firsts, last) - 1
        if at >= 0 and self._ranges[at][1] >= first:
            return self._ranges[at][2]
        return None

    def add(self, first: int, last: int, owner: str) -> str | None:
        """Take ``first..last`` for *owner*; returns who overlaps it, and then takes nothing."""
        other = self.find_overlap(first, last)
        if other is None:
            at = bisect_right(self._firsts, first)
            self._firsts.insert(at, first)
            self._ranges.insert(at, (first, last, owner))
        return other

    def add_nested(self, ranges: Iterable[tuple[int, int, str]]) -> None:
        """Take ranges that may lie one within another, as CIDR blocks do; the widest stay."""
        for first, last, owner in sorted(ranges, key=lambda item: (item[0], -item[1])):
            self.add(first, last, owner)
