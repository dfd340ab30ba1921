"""Files, keys, seeds, reservations and time."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping


class Feature(enum.Enum):
    """What a host can have or lack besides QEMU itself."""

    EFI = "UEFI firmware"
    SECURE_BOOT = "UEFI firmware with Secure Boot"
    TPM = "an emulator of TPMs"
    SHARES = "a server of shared directories"
    SPICE = "QEMU's SPICE server"


@attrs.frozen(kw_only=True)
class Barrier:
    """What keeps the host's QEMU from a file."""

    path: Path
    """The file itself, or a directory above it."""
    user: str
    """As whom QEMU runs."""


class SeedTool(Protocol):
    """Makes seed media."""

    def create_seed(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Write an ISO 9660 image labelled ``CIDATA`` with *files* in its root."""


class SubnetLeases(Protocol):
    """Reservations of subnets on a shared host."""

    def acquire(self, subnet: str, *, uuid_path: Path, uuid: str) -> None:
        """Reserve *subnet* (CIDR form) for the prefix.

        Raises:
            SubnetLeaseError: Somebody else holds it; says who.
        """

    def taken(self, *, uuid: str) -> frozenset[str]:
        """Subnets (CIDR form) that live prefixes other than *uuid* hold."""

    def release(self, *, uuid: str) -> None:
        """Give back all that the prefix holds; idempotent."""


class Files(Protocol):
    """Writes, removes and locks files so that a crash leaves nothing half-done."""

    def write_atomic(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        """Replace *path* by *data*: readers see the old or the new content, nothing between."""

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all in it, never following links; idempotent."""

    def publish(self, scratch: Path, target: Path) -> None:
        """Have the directory *scratch* at *target*, where nothing or an empty directory is.

        All that is in it is on the disk before it appears.

        Raises:
            LagoError: It cannot be; *scratch* stays.
        """

    def lock(
        self, path: Path, *, timeout: float, purpose: str
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the lock file *path* for the block.

        Raises:
            LockedError: Somebody holds it for longer than *timeout* seconds; says who.
        """


class KeyTool(Protocol):
    """Makes and pins keys."""

    def create_key_pair(self, path: Path, comment: str) -> str:
        """Make an Ed25519 pair at *path* (kept where it exists); returns the public line."""

    def generate_host_key(self, comment: str) -> tuple[str, str]:
        """Return a new Ed25519 host key: private text in OpenSSH's format, public line."""

    def hash_password(self, password: str) -> str:
        """Return *password* as ``/etc/shadow`` holds it: SHA-512, as crypt(5) writes it."""

    def pin_host_key(self, path: Path, alias: str, public_line: str) -> None:
        """Record the host key of *alias* in the ``known_hosts`` file *path*."""


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
