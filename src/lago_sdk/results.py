"""What a finished command gives back."""

from __future__ import annotations

import enum

import attrs

from lago_sdk.errors import CommandError


class Road(enum.Enum):
    """A way to run a command in a guest."""

    AUTO = "auto"
    """The first of the others that is open."""
    SSH = "ssh"
    """Over the network."""
    AGENT = "agent"
    """By the QEMU guest agent, which needs no network."""
    CONSOLE = "console"
    """By a shell on the serial console, which needs next to nothing."""


@attrs.frozen(kw_only=True)
class CommandResult:
    """Exit code and output of a finished command, in a guest or on the host."""

    command: str
    """The command as it was run."""
    code: int
    """Exit code; 0 is success."""
    out: str
    """Standard output, decoded as UTF-8 with replacement characters."""
    err: str
    """Standard error, decoded likewise."""
    via: Road | None = None
    """The road it took, where there was a choice of roads or it was not ssh."""

    def check(self) -> CommandResult:
        """Return self when the command succeeded.

        Raises:
            CommandError: The exit code is not 0.
        """
        if self.code != 0:
            raise CommandError(self.command, self.code, self.out, self.err)
        return self
