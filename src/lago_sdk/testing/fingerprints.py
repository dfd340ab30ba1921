"""Fingerprints of a machine that tests describe."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lago_sdk.plan.facts import HostFacts


class FakeFingerprints:
    """A `lago_sdk.ports.Fingerprints`: real files, a machine by words.

    Attributes:
        host: What the machine says of itself; change it to play another one.
    """

    def __init__(self) -> None:
        self.host: dict[str, object] = {"qemu": "7.2.22", "cpu": {"name": "max"}}

    def digest_file(self, path: Path) -> str:
        """See `Fingerprints.digest_file`.

        Raises:
            LagoError: It cannot be read.
        """
        try:
            return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        except OSError as error:
            raise LagoError(f"cannot read {str(path)!r}: {error.strerror}") from error

    def describe_host(self, facts: HostFacts) -> Mapping[str, object]:  # noqa: ARG002
        """See `Fingerprints.describe_host`."""
        return dict(self.host)
