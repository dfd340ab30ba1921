"""What remote-viewer(1) connects to, in the form of its files ("CONNECTION FILE" there)."""

from __future__ import annotations


def render_viewer_file(*, kind: str, host: str, port: int, password: str, title: str) -> str:
    """Return the text of a connection file; none of the values may have several lines."""
    entries = {"type": kind, "host": host, "port": port, "password": password, "title": title}
    lines = [f"{key}={value}" for key, value in entries.items()]
    return "\n".join(["[virt-viewer]", *lines, ""])
