"""How far a login came: what a wait tells when its deadline has passed."""

from __future__ import annotations

import enum

import attrs

_SHORTEST = 0.05
"""Seconds that an attempt gets at least; a socket takes 0 for "do not wait"."""


class Stage(enum.IntEnum):
    """The stages of a login, in order."""

    NO_ANSWER = 0
    """No route, or nobody answers."""
    REFUSED = 1
    """The guest's kernel answers; nothing listens."""
    OPEN = 2
    """Somebody listens and has said nothing."""
    BANNER = 3
    """An ssh server has told its version."""
    LOGIN_REFUSED = 4
    """It knows us not (yet)."""
    LOGGED_IN = 5


@attrs.define(kw_only=True)
class Reached:
    """The stage that the last attempt reached, with what is needed to tell of it."""

    port: int
    stage: Stage = Stage.NO_ANSWER
    banner: str = ""

    def __str__(self) -> str:
        """The stage in words."""
        return {
            Stage.NO_ANSWER: "no route or no answer",
            Stage.REFUSED: f"port {self.port} refused",
            Stage.OPEN: f"port {self.port} open, no banner",
            Stage.BANNER: f"banner seen ({self.banner})",
            Stage.LOGIN_REFUSED: f"authentication refused ({self.banner})",
            Stage.LOGGED_IN: "logged in",
        }[self.stage]


@attrs.frozen(kw_only=True)
class Limits:
    """Longest times of one attempt, in seconds."""

    connect: float = 10.0
    """For the TCP connection."""
    banner: float = 15.0
    """For the server's version line. Under emulation a server takes a second to send it."""
    handshake: float = 20.0
    """For the key exchange."""
    login: float = 30.0
    """For the authentication: PAM and name look-ups in the guest count."""

    whole: float = 75.0
    """For all of it together."""

    def within(self, seconds: float) -> Limits:
        """These limits, all of them together within *seconds*."""
        return attrs.evolve(self, whole=min(self.whole, max(seconds, _SHORTEST)))
