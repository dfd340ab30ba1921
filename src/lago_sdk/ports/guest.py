"""Guests over ssh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from lago_sdk.ports.extraction import Extraction, Skipped
    from lago_sdk.results import CommandResult


@attrs.frozen(kw_only=True)
class SSHTarget:
    """How to log in to a guest."""

    vm: str
    address: str
    port: int = 22
    user: str = "root"
    key_path: Path | None = None
    """The private key: the prefix's own as a rule."""
    password: str | None = None
    host_keys_path: Path
    """``known_hosts`` of the prefix; the host key is pinned there."""
    host_key_alias: str
    """Name of the guest in that file."""
    is_outside: bool = False
    """Whether this machine's own routes lead there, and not the networks of the prefix's host."""


class Readable(Protocol):
    """A binary file to read from, or anything that can be read like one."""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes; none at the end."""


class GuestStream(Protocol):
    """The standard output of a command in a guest, read while the command runs.

    A reader that is slow slows the command down: no more than a few MB are kept in between.
    """

    @property
    def command(self) -> str:
        """The command as it was given."""

    @property
    def code(self) -> int | None:
        """The exit code, 128 + signal where one ended it; ``None`` before the end was read."""

    @property
    def err(self) -> str:
        """What it wrote to standard error so far: the last 64 KiB."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to *size* bytes as soon as there are some; none at the end.

        Args:
            size: -1 is "until the end", which keeps all of it in memory.

        Raises:
            CommandTimeoutError: The deadline passed.
            SSHError: The connection broke.
            Exception: What reading the input raised.
        """


class Guest(Protocol):
    """An ssh connection to one guest: opened on first use, kept, reopened when it broke."""

    def run(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run *command* in the login shell and wait for its end.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input, of any size; empty when ``None``. A file is read while the
                command reads, by another thread.
            timeout: Seconds it may take, the connection included.
            env: Variables to export before it.
            on_output: Called with ``"out"`` or ``"err"`` and the bytes, as output arrives.
            capture: Whether the result has the output; without, `on_output` alone gets it.
        """

    def stream(
        self,
        command: str,
        *,
        input: bytes | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[GuestStream]:
        """Run *command* in the login shell for the block, and read what it writes meanwhile.

        What has not ended by the end of the block, the command and its children, is sent SIGTERM.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input, as for `run`.
            timeout: Seconds it may take, the connection included.
            env: Variables to export before it.
        """

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

    def extract(
        self, paths: Sequence[tuple[str, Path]], *, timeout: float | None = None
    ) -> Extraction:
        """Copy files and whole directories from the guest; what is missing is told.

        Args:
            paths: What to copy, and the names it gets here; a file that has the name is replaced,
                a directory is added to. Nothing is written beside or outside of them.
            timeout: Seconds it may take.

        Raises:
            CommandTimeoutError: It took longer.
            SSHError: No connection, it was lost, or the guest lacks tar.
            LagoError: They cannot be written here.
        """

    def copy_to(
        self,
        sources: Sequence[str],
        target: str,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Copy files and directories to the guest, with their modes and times.

        Args:
            sources: Paths of the host; links among them are followed.
            target: A directory that they go into, else what the only source is called.
            follow: Copy what links below the sources lead to in their place.
            on_progress: Called with the bytes that were copied, and all there are.

        Returns:
            What cannot be copied: devices, pipes and sockets.

        Raises:
            LagoError: A source is not there or cannot be read.
            VMError: The target is not what it should be, or the guest has no space.
            SSHError: The connection was lost.
        """

    def copy_from(
        self,
        sources: Sequence[str],
        target: Path,
        *,
        follow: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> tuple[Skipped, ...]:
        """Copy files and directories from the guest, with their modes and times.

        Nothing is written outside of the target, whatever the guest sends.

        Args:
            sources: Paths of the guest; links among them are followed.
            target: A directory that they go into, else what the only source is called.
            follow: Copy what links below the sources lead to in their place.
            on_progress: Called with the bytes that came, and all there are where that is known.

        Returns:
            What was left out: devices, pipes, sockets and links that lead out of their source.

        Raises:
            PathNotFoundError: The guest does not have one of the sources; nothing was copied.
            LagoError: The target is not what it should be, or cannot be written.
            SSHError: The connection was lost; the target is as it was.
        """

    def rest(self, seconds: float) -> tuple[int, ...]:
        """Wait until the guest has acknowledged all that was sent, *seconds* at most.

        From then on nothing is sent to it until somebody uses it.

        Returns:
            Our TCP ports of the connections.
        """

    def close(self, *, abort: bool = False) -> None:
        """Close the connection.

        Args:
            abort: The guest is about to be one that never had it, or had it and never learns of
                its end: leave no trace of the connection here.
        """
