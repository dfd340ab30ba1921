"""Free-form values (metadata, user data, builder options) as JSON, and back unchanged.

YAML gives more than JSON can say: dates, bytes, keys that are no strings. Such values are
written as an object with one key that begins with ``$``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "$"


def encode_free(value: Any) -> Any:
    """Return *value* in terms of what ``json`` writes and reads without loss.

    Raises:
        LagoError: It holds something that is neither YAML's nor JSON's.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if isinstance(value, list):
        return [encode_free(item) for item in value]
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    for kind, name in ((tuple, "$tuple"), (set, "$set"), (frozenset, "$frozenset")):
        if isinstance(value, kind):
            return {name: [encode_free(item) for item in value]}
    # A datetime is a date too.
    for moment, name in ((datetime, "$datetime"), (date, "$date"), (time, "$time")):
        if isinstance(value, moment):
            return {name: value.isoformat()}
    kept = f"a value of type {type(value).__name__} cannot be kept"
    raise LagoError(kept, hint="use strings, numbers, lists and maps")


def decode_free(value: Any) -> Any:
    """Return what :func:`encode_free` was given.

    Raises:
        LagoError: *value* does not come from it.
    """
    if isinstance(value, list):
        return [decode_free(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = next(iter(value), "")
    if not name.startswith(_MARK):
        return {key: decode_free(item) for key, item in value.items()}
    decode = _DECODERS.get(name)
    if decode is None:
        raise LagoError(f"there is no kind of value called {name!r}")
    return decode(value[name])


def _encode_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    if all(isinstance(key, str) and not key.startswith(_MARK) for key in value):
        return {key: encode_free(item) for key, item in value.items()}
    return {"$map": [[encode_free(key), encode_free(item)] for key, item in value.items()]}


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "$bytes": bytes.fromhex,
    "$tuple": lambda items: tuple(map(decode_free, items)),
    "$set": lambda items: set(map(decode_free, items)),
    "$frozenset": lambda items: frozenset(map(decode_free, items)),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$map": lambda pairs: {decode_free(key): decode_free(item) for key, item in pairs},
}
