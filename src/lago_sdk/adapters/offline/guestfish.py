"""A conversation with guestfish(1): an appliance that has a disk image, booted in ten seconds."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

from lago_sdk.adapters.process import Companion
from lago_sdk.errors import ImageError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ERROR = re.compile(rb"^(?:\*stdin\*:\d+: )?libguestfs: error: (.*)$", re.MULTILINE)
_PLAIN = re.compile(rb"[A-Za-z0-9_./+@%=-]+")
_CHUNK = 1 << 16
_TIMEOUT = 1800.0
"""Seconds for one command: an appliance boots in minutes on a busy machine without KVM."""


class Guestfish:
    """A running guestfish; close it whatever happens.

    Args:
        options: What it is started with.
        environ: Its environment.

    Raises:
        MissingToolError: libguestfs's tools are not installed.
    """

    def __init__(self, options: list[str], environ: Mapping[str, str]) -> None:
        self._process = Companion(["guestfish", *options], env=environ)

    def run(self, command: str, *words: str | Path) -> bytes:
        """Run a command and return what it printed.

        Raises:
            ImageError: It failed.
        """
        answer = self._ask(command, *words)
        found = _ERROR.search(answer)
        if found:
            told = shorten(found[1].decode(errors="replace"), 400)
            raise ImageError(f"libguestfs cannot look into the disk: {told}")
        return answer

    def find(self, command: str, *words: str | Path) -> bytes | None:
        """Run a command; ``None`` where it failed."""
        answer = self._ask(command, *words)
        return None if _ERROR.search(answer) else answer

    def close(self) -> None:
        """End the appliance."""
        self._process.end()

    def _ask(self, command: str, *words: str | Path) -> bytes:
        nonce = secrets.token_hex(8)
        end = f"{nonce}\n".encode()
        # A dash before a command keeps guestfish going where it fails.
        line = b" ".join([f"-{command}".encode(), *(_quote(word) for word in words)])
        self._process.write(line + b"\necho " + end)
        answer = bytearray()
        while not answer.endswith(end):
            data = self._process.read(_CHUNK, timeout=_TIMEOUT)
            if not data:
                told = shorten(answer.decode(errors="replace"), 400)
                raise ImageError(f"libguestfs ended: {told}", hint="try libguestfs-test-tool")
            answer += data
        return bytes(answer[: -len(end)])


def _quote(word: str | Path) -> bytes:
    """Return *word* as guestfish's parser reads it, which knows hexadecimal escapes."""
    raw = os.fsencode(word)
    if _PLAIN.fullmatch(raw):
        return raw
    escaped = b"".join(
        b"%c" % byte if _PLAIN.fullmatch(b"%c" % byte) else b"\\x%02x" % byte for byte in raw
    )
    return b'"' + escaped + b'"'
