"""Prototypes: maps that domains take keys over from.

A domain (or a prototype) names them by ``based-on``: one name, a list of names, or a map written
in place. Keys that it lacks are taken over whole, the first prototype of a list winning; nested
maps and lists are not merged, as in Lago.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lago_sdk.codec.language import BASED_ON
from lago_sdk.codec.scalars import describe
from lago_sdk.codec.values import MAX_DEPTH
from lago_sdk.errors import suggest

if TYPE_CHECKING:
    from lago_sdk.codec.document import Origins
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

_KEY = BASED_ON.name
_IN_PLACE = "{…}"
"""How a chain of prototypes shows a map that was written in place."""


class Prototypes:
    """The section ``prototypes``, and how to apply it."""

    def __init__(self, section: object, sink: Sink, origins: Origins) -> None:
        """Take the section as it stands in the file; ``None`` is an empty one."""
        self._sink = sink
        self._origins = origins
        self._expanded: dict[str, dict[str, Any]] = {}
        self._raw: dict[str, Mapping[str, Any]] = {}
        if section is None:
            return
        if not isinstance(section, Mapping):
            message = f"expected a map of prototypes, not {describe(section)}"
            sink.error(("prototypes",), message, code="wrong-type")
            return
        for name, value in section.items():
            if value is None or isinstance(value, Mapping):
                self._raw[str(name)] = value or {}
                continue
            message = f"expected a map, not {describe(value)}"
            sink.error(("prototypes", str(name)), message, code="wrong-type")
            self._raw[str(name)] = {}
        for name in self._raw:
            self._expand_named(name, ())

    def apply(self, value: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """Return *value* with what it takes over from its prototypes, without ``based-on``."""
        return value if _KEY not in value else self._apply(value, path, ())

    def _apply(
        self, value: Mapping[str, Any], path: Path, chain: tuple[str, ...]
    ) -> Mapping[str, Any]:
        if _KEY not in value:
            return value
        merged = {key: item for key, item in value.items() if key != _KEY}
        origin = self._origins.setdefault(path, {})
        bases = value[_KEY]
        is_list = isinstance(bases, (list, tuple))
        for index, base in enumerate(bases if is_list else [bases]):
            place = (*path, _KEY, index) if is_list else (*path, _KEY)
            owner, found = self._find(base, place, chain)
            for key, item in found.items():
                if key not in merged:
                    merged[key] = item
                    origin[key] = self._origins.get(owner, {}).get(key, owner)
        return merged

    def _find(self, base: object, place: Path, chain: tuple[str, ...]) -> tuple[Path, Any]:
        """Return where the prototype stands that *base* means, and its keys."""
        if base is None:
            return place, {}
        if len(chain) > MAX_DEPTH:
            message = f"prototypes are based on each other more than {MAX_DEPTH} levels deep"
            self._sink.error(place, message, code="too-deep")
            return place, {}
        if isinstance(base, Mapping):
            return place, self._apply(base, place, (*chain, _IN_PLACE))
        if not isinstance(base, str):
            message = f"expected the name of a prototype, not {describe(base)}"
            self._sink.error(place, message, code="wrong-type")
            return place, {}
        name = str(base)
        if name in chain:
            told = " -> ".join((*chain[chain.index(name) :], name))
            self._sink.error(
                place,
                f"the prototypes are based on each other in a circle: {told}",
                hint=f"take one {_KEY!r} out of the circle",
                code="prototype-cycle",
            )
            return place, {}
        if name not in self._raw:
            hint = suggest(name, self._raw) or "the file has no section 'prototypes'"
            message = f"there is no prototype {name!r}"
            self._sink.error(place, message, hint=hint, code="unknown-prototype")
            return place, {}
        return ("prototypes", name), self._expand_named(name, chain)

    def _expand_named(self, name: str, chain: tuple[str, ...]) -> Mapping[str, Any]:
        if name not in self._expanded:
            path = ("prototypes", name)
            found = self._apply(self._raw[name], path, (*chain, name))
            if name in self._expanded:  # a circle was told further down
                return self._expanded[name]
            self._expanded[name] = dict(found)
        return self._expanded[name]
