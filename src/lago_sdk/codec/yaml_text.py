"""YAML text to plain values, straight from the events of libyaml.

ruamel.yaml's round-trip loader keeps comments and styles of everything, and takes many seconds
for an init file of a thousand VMs. Here the C parser's events become dicts, lists and
:class:`~lago_sdk.codec.values.Plain` text at once, and the place of every key and value is put
beside them for the problems that may have to point at it.

Sources: YAML 1.1 (https://yaml.org/spec/1.1/) and its merge key (https://yaml.org/type/merge.html).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.codec.values import MAX_DEPTH, NULL_WORDS, Plain
from lago_sdk.codec.yaml_errors import explain_yaml_error
from lago_sdk.codec.yaml_marks import Mark, SourceMark, YamlTextError, to_mark
from lago_sdk.errors import suggest
from lago_sdk.spec.problems import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_VALUES = 2_000_000
"""How many values a document may have once its aliases are followed."""
MERGE_KEY = "<<"

_TAGS = "tag:yaml.org,2002:"


@attrs.define
class Composed:
    """A document's value, and where each part of it stood."""

    value: Any = None
    """Dicts, lists, ``None``, text, and :class:`Plain` text; aliases share one object."""
    is_empty: bool = True
    """Whether there was no value at all, not even ``null``."""
    keys: dict[int, dict[str, SourceMark]] = attrs.field(factory=dict)
    """By ``id`` of a dict: where its keys stand (also those that a merge brought)."""
    values: dict[int, dict[Any, SourceMark]] = attrs.field(factory=dict)
    """By ``id`` of a dict or list: where the values of its keys or indexes start."""
    problems: list[Problem] = attrs.field(factory=list)
    """Duplicate keys."""


def compose_yaml(text: str) -> Composed:
    """Read *text* as one YAML document.

    Raises:
        YamlTextError: It is not YAML, is more than one document, or has what no init file needs:
            foreign tags, keys that are no scalars, anchors inside themselves, alias bombs.
    """
    composer = _Composer()
    for event in _parse_events(text):
        composer.feed(event)
    if composer.alias_count:
        _refuse_bomb(composer.composed.value)
    return composer.composed


def _parse_events(text: str) -> Iterator[Any]:
    """Yield libyaml's events of *text*, without those of stream and document."""
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import (
        DocumentEndEvent,
        DocumentStartEvent,
        StreamEndEvent,
        StreamStartEvent,
    )

    frame = (StreamStartEvent, StreamEndEvent, DocumentEndEvent)
    documents = 0
    try:
        parser = CParser(text)
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, frame):
                continue
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise YamlTextError(
                        "the file has more than one YAML document",
                        _mark(event),
                        hint="keep one, and remove the line '---' between them",
                    )
                continue
            yield event
    except UnicodeEncodeError as error:
        message = f"half a surrogate pair (U+{ord(text[error.start]):04X}) is in the text"
        raise YamlTextError(message, None, hint="save the file as UTF-8") from error
    except YAMLError as error:
        raise explain_yaml_error(error, text) from error


def _mark(event: Any) -> Mark:
    return to_mark(event.start_mark)


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "items", "key", "key_marks", "mapping", "merges", "value_marks")

    def __init__(self, *, is_mapping: bool, anchor: str | None) -> None:
        self.anchor = anchor
        self.mapping: dict[str, Any] | None = {} if is_mapping else None
        self.items: list[Any] = []
        self.key: str | None = None
        self.merges: list[Any] = []
        self.key_marks: dict[str, SourceMark] = {}
        self.value_marks: dict[Any, SourceMark] = {}

    @property
    def step(self) -> str | int:
        """The path's step to the value that comes next."""
        return len(self.items) if self.mapping is None else (self.key or "")


class _Composer:
    """Builds values from events; a stack instead of recursion, so depth costs nothing."""

    def __init__(self) -> None:
        self.composed = Composed()
        self.alias_count = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Any] = {}
        self._feeders = {
            "ScalarEvent": self._feed_scalar,
            "MappingStartEvent": self._feed_start,
            "SequenceStartEvent": self._feed_start,
            "MappingEndEvent": self._feed_end,
            "SequenceEndEvent": self._feed_end,
            "AliasEvent": self._feed_alias,
        }
        self._start_marks: list[SourceMark] = []

    def feed(self, event: Any) -> None:
        """Take the next event."""
        self._feeders[type(event).__name__](event)

    def _feed_scalar(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.mapping is not None and frame.key is None:
            self._take_key(frame, event)
            return
        value = _scalar_value(event)
        if event.anchor:
            self._anchors[event.anchor] = value
        self._put(value, event.start_mark)

    def _feed_start(self, event: Any) -> None:
        is_mapping = type(event).__name__ == "MappingStartEvent"
        if event.tag is not None:
            _check_tag(event, is_mapping=is_mapping)
        if self._stack:
            parent = self._stack[-1]
            if parent.mapping is not None and parent.key is None:
                raise YamlTextError(
                    "a list or map cannot be a key",
                    _mark(event),
                    hint="quote it; '{{ … }}' looks like a Jinja template that was not rendered",
                )
        if len(self._stack) >= MAX_DEPTH:
            raise YamlTextError(
                f"nested more than {MAX_DEPTH} levels deep", _mark(event), code="too-deep"
            )
        self._stack.append(_Frame(is_mapping=is_mapping, anchor=event.anchor))
        self._start_marks.append(event.start_mark)

    def _feed_end(self, event: Any) -> None:
        del event
        frame = self._stack.pop()
        mark = self._start_marks.pop()
        value: Any = frame.items
        if frame.mapping is not None:
            value = frame.mapping
            for merged in frame.merges:
                self._merge(frame, merged)
            self.composed.keys[id(value)] = frame.key_marks
        self.composed.values[id(value)] = frame.value_marks
        if frame.anchor:
            self._anchors[frame.anchor] = value
        self._put(value, mark)

    def _feed_alias(self, event: Any) -> None:
        self.alias_count += 1
        name: str = event.anchor
        mark = _mark(event)
        if any(frame.anchor == name for frame in self._stack):
            raise YamlTextError(f"the anchor '&{name}' contains itself", mark, code="bad-alias")
        if name not in self._anchors:
            hint = suggest(name, self._anchors) or f"define it before its use: '&{name}'"
            raise YamlTextError(f"the alias '*{name}' has no anchor", mark, hint=hint)
        value = self._anchors[name]
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.mapping is not None and frame.key is None:
            if not isinstance(value, str):
                raise YamlTextError("a list or map cannot be a key", mark)
            frame.key = str(value)
            frame.key_marks[frame.key] = event.start_mark
            return
        self._put(value, event.start_mark)

    def _take_key(self, frame: _Frame, event: Any) -> None:
        """Remember a key; of two with the same name the last one counts, as it did for Lago."""
        key: str = event.value
        frame.key = key
        if event.anchor:
            self._anchors[event.anchor] = key
        if key == MERGE_KEY and event.implicit[0]:
            frame.key = _PLAIN_MERGE
            return
        if key in frame.key_marks:
            self._tell_duplicate(key, to_mark(frame.key_marks[key]), _mark(event))
        frame.key_marks[key] = event.start_mark

    def _tell_duplicate(self, key: str, first: Mark, mark: Mark) -> None:
        message = f"the key {key!r} is here twice; the one on line {first.line} has no effect"
        self.composed.problems.append(
            Problem(
                message=message,
                path=tuple(frame.step for frame in self._stack),
                hint="keep one of them",
                severity=Severity.WARNING,
                code="duplicate-key",
                line=mark.line,
                column=mark.column,
            )
        )

    def _put(self, value: Any, mark: SourceMark) -> None:
        """Put a finished value where it belongs."""
        if not self._stack:
            self.composed.value = value
            self.composed.is_empty = False
            return
        frame = self._stack[-1]
        if frame.mapping is None:
            frame.value_marks[len(frame.items)] = mark
            frame.items.append(value)
            return
        key = frame.key or ""
        frame.key = None
        if key is _PLAIN_MERGE:
            frame.merges.extend(_merge_sources(value, to_mark(mark)))
            return
        frame.value_marks[key] = mark
        frame.mapping[key] = value

    def _merge(self, frame: _Frame, merged: dict[str, Any]) -> None:
        """Add what *merged* has and *frame* has not, with the places where it stood."""
        key_marks = self.composed.keys[id(merged)]
        value_marks = self.composed.values[id(merged)]
        mapping = frame.mapping
        assert mapping is not None
        for key, value in merged.items():
            if key not in mapping:
                mapping[key] = value
                frame.key_marks[key] = key_marks[key]
                frame.value_marks[key] = value_marks[key]


_PLAIN_MERGE = Plain(MERGE_KEY)
"""The merge key, told by identity from a quoted ``"<<"``."""


def _merge_sources(value: Any, mark: Mark) -> list[dict[str, Any]]:
    """The maps that a merge key brings, the most important first."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlTextError(
            "the merge key '<<' takes a map or a list of maps", mark, hint="for example '<<: *base'"
        )
    return sources


def _scalar_value(event: Any) -> object:
    """What a scalar event stands for: ``None``, plain text or quoted text."""
    value: str = event.value
    tag: str | None = event.tag
    if tag is None or tag == "!":
        if tag is None and event.implicit[0]:
            return None if value in NULL_WORDS else Plain(value)
        return value
    kind = tag.removeprefix(_TAGS)
    if kind == "str":
        return value
    if kind in {"int", "float", "bool"}:
        return Plain(value)
    if kind == "null":
        return None
    raise _bad_tag(tag, _mark(event))


def _check_tag(event: Any, *, is_mapping: bool) -> None:
    """Refuse a collection with a foreign tag."""
    tag: str = event.tag
    if tag not in {"!", f"{_TAGS}{'map' if is_mapping else 'seq'}"}:
        raise _bad_tag(tag, _mark(event))


def _bad_tag(tag: str, mark: Mark) -> YamlTextError:
    name = tag.replace(_TAGS, "!!")
    return YamlTextError(
        f"the tag '{name}' is not understood",
        mark,
        hint="an init file is plain data: text, numbers, booleans, lists and maps",
        code="bad-tag",
    )


def _refuse_bomb(root: Any) -> None:
    """Refuse a document whose aliases multiply to an absurd size."""
    sizes: dict[int, int] = {}

    def size(value: Any) -> int:
        if not isinstance(value, (dict, list)):
            return 1
        known = sizes.get(id(value))
        if known is None:
            items = value.values() if isinstance(value, dict) else value
            known = sizes[id(value)] = 1 + sum(size(item) for item in items)
        return known

    if size(root) > MAX_VALUES:
        raise YamlTextError(
            f"its aliases multiply to more than {MAX_VALUES} values",
            Mark(1, 1),
            hint="use fewer aliases inside aliases",
            code="alias-bomb",
        )
