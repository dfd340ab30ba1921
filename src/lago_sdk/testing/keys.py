"""Keys that open nothing."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class FakeKeys:
    """A `lago_sdk.ports.KeyTool` whose keys look right and are the same in every run.

    Attributes:
        pinned: Host keys (type and base64) by the alias they were pinned for.
    """

    def __init__(self) -> None:
        self.pinned: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._mutex = threading.Lock()

    def create_key_pair(self, path: Path, comment: str) -> str:
        """See `KeyTool.create_key_pair`."""
        public_path = path.with_name(f"{path.name}.pub")
        if path.exists() and public_path.exists():
            return public_path.read_text().strip()
        private, public = self.generate_host_key(comment)
        public_path.write_text(f"{public}\n")
        path.write_text(private)
        path.chmod(0o600)
        return public

    def generate_host_key(self, comment: str) -> tuple[str, str]:
        """See `KeyTool.generate_host_key`."""
        with self._mutex:
            number = next(self._numbers)
        secret = hashlib.sha256(str(number).encode()).digest()
        # RFC 8709, section 4: two strings, each after its length in four bytes.
        kind = b"ssh-ed25519"
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind, secret))
        return f"fake private key {number}\n", f"ssh-ed25519 {_encode(blob)} {comment}".rstrip()

    def hash_password(self, password: str) -> str:
        """See `KeyTool.hash_password`; not a hash, but one can see of what."""
        return f"$6$fake${password}"

    def pin_host_key(self, path: Path, alias: str, public_line: str) -> None:
        """See `KeyTool.pin_host_key`."""
        kind, blob, *_comment = public_line.split(" ", 2)
        with self._mutex:
            self.pinned[alias] = f"{kind} {blob}"
            present = path.read_text().splitlines() if path.exists() else []
            others = [line for line in present if line.partition(" ")[0] != alias]
            lines = [*others, f"{alias} {kind} {blob}"]
            path.write_text("".join(f"{line}\n" for line in lines))
            path.chmod(0o600)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
