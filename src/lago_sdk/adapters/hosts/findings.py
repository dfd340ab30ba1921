"""What a look at the machine found out."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at: fine, or in the way of running a prefix."""

    name: str
    """What was looked at, in a few words."""
    ok: bool
    message: str
    """What was found, as a sentence without a full stop."""
    hint: str | None = None
    """What to do about it; ``None`` when it is fine or nothing can be done."""
