"""What came of taking files out of a guest, whichever road they took."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Skipped:
    """Something in a guest that was left out, and why."""

    path: str
    """Where it is in the guest."""
    reason: str
    """Why, in a few words: ``"a device"``."""


@attrs.frozen(kw_only=True)
class Extraction:
    """What was taken out of one guest."""

    collected: tuple[str, ...] = ()
    """Paths that were asked for and are here now."""
    missing: tuple[str, ...] = ()
    """Paths that were asked for and that the guest does not have."""
    skipped: tuple[Skipped, ...] = ()
    """What lay below a path that was asked for and was left there: devices, sockets, links that
    lead out of it, and what could not be read."""
