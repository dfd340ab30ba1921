"""Guests over ssh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lago_sdk.results import CommandResult


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
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> CommandResult:
        """Run *command* in the login shell and wait for its end.

        Args:
            command: A line (or several) for the user's login shell.
            input: Its standard input; empty when ``None``.
            timeout: Seconds it may take, the connection included.
            env: Variables to export before it.
            on_output: Called with ``"out"`` or ``"err"`` and the bytes, as output arrives.
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

    def close(self) -> None:
        """Close the connection."""
