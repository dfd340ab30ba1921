"""What a finished command gives back."""

from __future__ import annotations

import attrs

from lago_sdk.errors import CommandError


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

    def check(self) -> CommandResult:
        """Return self when the command succeeded.

        Raises:
            CommandError: The exit code is not 0.
        """
        if self.code != 0:
            raise CommandError(self.command, self.code, self.out, self.err)
        return self
