"""Text to models and back: YAML, JSON, and where each value stood."""

from typing import Any

from lago_sdk.codec.dump import dumps_spec
from lago_sdk.codec.load import check_file, check_text, load_spec, loads_spec, structure_spec

__all__ = [
    "check_file",
    "check_text",
    "dumps_spec",
    "json_schema",
    "load_spec",
    "loads_spec",
    "structure_spec",
]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of an init file, for editors."""
    from lago_sdk.codec.schema import json_schema as make

    return make()
