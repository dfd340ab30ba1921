"""A read-only mapping by name that explains itself when a name is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar, overload

Value = TypeVar("Value")
Default = TypeVar("Default")


class NamedMapping(Mapping[str, Value]):
    """Handles by name; ``mapping["wbe"]`` raises the library's error with its hint.

    ``in`` and ``get`` work as in any mapping.
    """

    def __init__(self, values: Mapping[str, Value], explain: Callable[[str], object]) -> None:
        """Hold *values*; *explain* is called with a missing name and raises."""
        self._values = dict(values)
        self._explain = explain

    def __getitem__(self, name: str) -> Value:
        """Return the value called *name*, or raise what *explain* raises."""
        if name not in self._values:
            self._explain(name)
        return self._values[name]

    @overload
    def get(self, name: str, /) -> Value | None: ...

    @overload
    def get(self, name: str, /, default: Value | Default) -> Value | Default: ...

    def get(self, name: str, /, default: Value | Default | None = None) -> Value | Default | None:
        """Return the value called *name*, or *default*."""
        return self._values.get(name, default)

    def __contains__(self, name: object) -> bool:
        """Whether there is a value called *name*."""
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._values)

    def __repr__(self) -> str:
        """As a dict writes itself."""
        return repr(self._values)
