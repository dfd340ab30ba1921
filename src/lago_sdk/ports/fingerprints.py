"""What makes two labs the same, beyond what their plans say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lago_sdk.plan.facts import HostFacts


class Fingerprints(Protocol):
    """Tells files by their content, and machines by what QEMU can do on them."""

    def digest_file(self, path: Path) -> str:
        """``sha256:<hex>`` of the content of *path*.

        Raises:
            LagoError: It cannot be read.
        """

    def describe_host(self, facts: HostFacts) -> Mapping[str, object]:
        """What decides on this machine what a guest sees and *facts* do not say, as JSON has it.

        Versions of the library and of QEMU, and the CPU as QEMU reports it.

        Raises:
            LagoError: QEMU does not tell.
        """
