"""What the services need of the world, as narrow Protocols.

Adapters implement them, ``connect.py`` wires them, ``testing/`` ships fakes of each. A service
that takes a port never knows which it got.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from lago_sdk.state import NetState, VMState

if TYPE_CHECKING:
    import contextlib
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from lago_sdk.plan.facts import HostFacts, Taken
    from lago_sdk.plan.models import Image
    from lago_sdk.results import CommandResult
    from lago_sdk.spec.disk import DiskFormat


class HostKind(enum.Enum):
    """Where a prefix runs."""

    PRIVATE = "private"
    SYSTEM = "system"
    REMOTE = "remote"


class Host(Protocol):
    """The machine, or the part of it, that a prefix runs on."""

    @property
    def kind(self) -> HostKind:
        """Which sort of host this is."""

    def is_up(self) -> bool:
        """Whether it can run VMs at once; a private host is up between `start` and `end`."""

    def start(self) -> None:
        """Bring it up; does nothing when it is up.

        Raises:
            HostError: It cannot be brought up; the hint says what to install or allow.
        """

    def end(self) -> None:
        """Take down what `start` made, with everything that runs in it; idempotent."""

    def facts(self) -> HostFacts:
        """What domains on this host depend on."""

    def taken(self) -> Taken:
        """What others use already; empty on a private host."""

    def hypervisor(self) -> Hypervisor:
        """The open connection to its libvirtd.

        Raises:
            HostError: The host is not up, or its libvirtd does not answer.
        """

    def dial(self, address: str, port: int, *, timeout: float) -> socket.socket:
        """Return a socket connected to *address* in the prefix's networks.

        Args:
            address: IPv4 or IPv6 address.
            port: TCP port.
            timeout: Seconds for the connection; the socket itself has no timeout.

        Raises:
            OSError: As ``socket.create_connection``.
        """

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0) -> CommandResult:
        """Run a command in the prefix's networks.

        Raises:
            MissingToolError: The program is not installed.
            ToolError: No end within *timeout* seconds.
        """

    def close(self) -> None:
        """Close our connections; what runs keeps running."""


@attrs.frozen(kw_only=True)
class DomainInfo:
    """One libvirt domain of the prefix, as it is now."""

    name: str
    uuid: str
    state: VMState
    reason: str = ""
    """libvirt's reason of the state, for example ``crashed``; may be empty."""


class Hypervisor(Protocol):
    """libvirt, as far as the services use it. Names are those of the plan."""

    def version(self) -> int:
        """Libvirt's version: major * 1,000,000 + minor * 1,000 + micro."""

    def list_domains(self, prefix_uuid: str) -> tuple[DomainInfo, ...]:
        """All domains tagged with the prefix's uuid, running or not; one bulk call."""

    def find_domain(self, name: str) -> DomainInfo | None:
        """The domain *name*, or ``None``."""

    def create_domain(self, xml: str) -> None:
        """Define a persistent domain (or redefine the one of that name) and start it."""

    def end_domain(self, name: str) -> None:
        """Power it off at once; nothing happens when it is off or absent."""

    def shutdown_domain(self, name: str) -> None:
        """Ask the guest to power off (ACPI); returns at once."""

    def remove_domain(self, name: str) -> None:
        """Power it off and forget its definition; idempotent."""

    def list_networks(self, prefix_uuid: str) -> Mapping[str, NetState]:
        """All networks tagged with the prefix's uuid, and their state."""

    def find_network(self, name: str) -> NetState | None:
        """The state of the network *name*, or ``None`` when it is not defined."""

    def create_network(self, xml: str) -> None:
        """Define a persistent network (or redefine the one of that name) and start it."""

    def remove_network(self, name: str) -> None:
        """Stop it and forget its definition; idempotent."""


class ImageTool(Protocol):
    """Makes and inspects disk images."""

    def create_overlay(self, path: Path, backing: Image, *, size: int | None = None) -> None:
        """Make a qcow2 overlay on *backing*; *size* in bytes, that of *backing* when ``None``."""

    def create_empty(self, path: Path, *, size: int, image_format: DiskFormat) -> None:
        """Make a sparse image of *size* bytes."""

    def copy(self, source: Path, path: Path) -> None:
        """Copy an image, keeping it sparse (by reflink where the file system can)."""

    def inspect(self, path: Path) -> Image:
        """Read format and size of an image, and which image is below it."""

    def rebase(self, path: Path, backing: Image) -> None:
        """Write down that *backing* is below *path*; the content is not looked at."""

    def resize(self, path: Path, size: int) -> None:
        """Let a guest see *size* bytes of an image; it never becomes smaller."""

    def import_image(self, source: Path, path: Path) -> None:
        """Make a qcow2 or raw image of one from elsewhere, which may be a VMDK.

        Raises:
            ImageError: It refers to other files of this machine, or is damaged.
        """


class ImageBuilder(Protocol):
    """Changes the content of a disk before the first start."""

    def build(
        self, disk: Path, image_format: DiskFormat, arguments: Sequence[str], *, directory: Path
    ) -> None:
        """Run over *disk*; relative paths in *arguments* start at *directory*."""


class Archives(Protocol):
    """Looks into archives of appliances."""

    def list_files(self, path: Path) -> Mapping[str, int]:
        """Files by name, in their order, with their sizes; an unsafe archive is refused."""

    def read_file(self, path: Path, name: str) -> bytes:
        """The content of a small file."""

    def extract_file(self, path: Path, name: str, target: Path) -> None:
        """Unpack one file to *target*."""


class Download(Protocol):
    """Fetches a URL."""

    def __call__(
        self, url: str, path: Path, *, progress: Callable[[int, int | None], None]
    ) -> None:
        """Fetch *url* to *path*, whole or not at all.

        Raises:
            LagoError: It cannot be had.
        """


class Feature(enum.Enum):
    """What a host can have or lack besides QEMU itself."""

    EFI = "UEFI firmware"
    SECURE_BOOT = "UEFI firmware with Secure Boot"
    TPM = "an emulator of TPMs"
    SHARES = "a server of shared directories"


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


class Templates(Protocol):
    """Where templates come from."""

    def find(self, name: str, version: str | None = None) -> Image | None:
        """The image of a template that is in the store, or ``None``."""

    def get(self, name: str, version: str | None = None) -> Image:
        """The image of a template, fetched where it is not in the store.

        Raises:
            TemplateNotFoundError: Neither store nor repositories have it.
            TemplateError: It cannot be fetched or is damaged.
        """


@attrs.frozen(kw_only=True)
class SSHTarget:
    """How to log in to a guest."""

    vm: str
    address: str
    port: int = 22
    user: str = "root"
    key_path: Path | None = None
    """The prefix's private key."""
    password: str | None = None
    host_keys_path: Path
    """``known_hosts`` of the prefix; the host key is pinned there."""
    host_key_alias: str
    """Name of the guest in that file."""


class Guest(Protocol):
    """An ssh connection to one guest: opened on first use, kept, reopened when it broke."""

    def run(
        self,
        command: str,
        *,
        input: bytes | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run *command* in the login shell and wait for its end."""

    def wait(
        self,
        *,
        timeout: float,
        explain: Callable[[], str],
        give_up: Callable[[], None] | None = None,
    ) -> float:
        """Wait until a login works; returns the seconds it took.

        Args:
            timeout: Seconds to wait at most.
            explain: Called when the deadline has passed; tells what else is known (domain state).
            give_up: Called before each attempt; whatever it raises ends the wait.

        Raises:
            WaitTimeoutError: With the stage that was reached.
            SSHError: Waiting is no use: a wrong host key, no readable key of ours, no algorithm
                in common. A refused key is waited for: it may be installed late in a boot.
        """

    def interact(self, command: str | None = None) -> int:
        """Attach the terminal to a shell (or *command*) in the guest; returns its exit code."""

    def close(self) -> None:
        """Close the connection."""


class Files(Protocol):
    """Writes, removes and locks files so that a crash leaves nothing half-done."""

    def write_atomic(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        """Replace *path* by *data*: readers see the old or the new content, nothing between."""

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all in it, never following links; idempotent."""

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

    def pin_host_key(self, path: Path, alias: str, public_line: str) -> None:
        """Record the host key of *alias* in the ``known_hosts`` file *path*."""


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
