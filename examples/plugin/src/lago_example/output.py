"""An output: `lagoctl -f csv` writes a line `path,value` for each value."""

import csv
import io
from collections.abc import Iterator


def render_csv(data: object) -> str:
    """Return mappings, lists and scalars as comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(data, ""))
    return text.getvalue().rstrip("\n")


def _rows(data: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _rows(value, f"{path}/{key}" if path else str(key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _rows(value, f"{path}/{index}" if path else str(index))
    else:
        yield path, data
