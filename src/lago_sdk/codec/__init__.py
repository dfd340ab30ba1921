"""Text to models and back: YAML, JSON, and where each value stood."""

from lago_sdk.codec.dump import dumps_spec
from lago_sdk.codec.load import check_file, check_text, load_spec, loads_spec, structure_spec

__all__ = [
    "check_file",
    "check_text",
    "dumps_spec",
    "load_spec",
    "loads_spec",
    "structure_spec",
]
