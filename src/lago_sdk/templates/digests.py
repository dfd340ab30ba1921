"""Digests of templates: which are trusted, how they are written, and how a stream is checked."""

from __future__ import annotations

import enum
import hashlib
import re
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Algorithm(enum.Enum):
    """How a digest is made."""

    SHA1 = "sha1"
    """Lago's own; collisions can be made, so it only shows damage."""
    SHA256 = "sha256"
    SHA512 = "sha512"


_BY_LENGTH = {40: Algorithm.SHA1, 64: Algorithm.SHA256, 128: Algorithm.SHA512}
"""Hex digits of each."""


class Covers(enum.Enum):
    """What bytes a digest is made of."""

    TRANSFER = "transfer"
    """The file as the server has it, compressed or not."""
    CONTENT = "content"
    """The image after decompression."""
    EITHER = "either"
    """One of the two; whoever published it did not say which."""


@attrs.frozen
class Digest:
    """A digest; its text is ``sha256:<hex>``."""

    algorithm: Algorithm
    value: str
    """Hex digits, lower case."""

    def __str__(self) -> str:
        """Return ``algorithm:hex``."""
        return f"{self.algorithm.value}:{self.value}"


def parse_digest(text: str) -> Digest | None:
    """Return the digest that *text* is, or ``None``.

    Args:
        text: ``sha256:<hex>``, or hex digits whose number tells the algorithm.
    """
    name, colon, value = text.strip().lower().rpartition(":")
    algorithm = _BY_LENGTH.get(len(value))
    if algorithm is None or re.fullmatch(r"[0-9a-f]+", value) is None:
        return None
    if colon and name.replace("-", "") != algorithm.value:
        return None
    return Digest(algorithm, value)


@attrs.frozen(kw_only=True)
class Expected:
    """The digest that a download must have."""

    digest: Digest
    covers: Covers
    source: str
    """Where it was published: a URL or path, for messages."""


class Hashes:
    """Digests of one stream of bytes, made while it passes.

    Args:
        algorithms: Those that are wanted.
    """

    def __init__(self, algorithms: set[Algorithm]) -> None:
        self._hashes = {algorithm: hashlib.new(algorithm.value) for algorithm in algorithms}

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        for found in self._hashes.values():
            found.update(data)

    def get(self, algorithm: Algorithm) -> Digest:
        """Return the digest of what has passed."""
        return Digest(algorithm, self._hashes[algorithm].hexdigest())


def hash_along(chunks: Iterable[bytes], hashes: Hashes) -> Iterator[bytes]:
    """Yield *chunks*, of which *hashes* takes note while they pass."""
    for chunk in chunks:
        hashes.update(chunk)
        yield chunk


def check_digest(what: str, expected: Expected, found: dict[Covers, Digest]) -> None:
    """Check that one of the digests that count is the expected one.

    Args:
        what: The URL or path that was read, for the message.
        expected: What was published.
        found: What was computed, by what it covers; only those that count.

    Raises:
        TemplateError: None is; names both.
    """
    if expected.digest in found.values():
        return
    computed = ", ".join(
        f"{digest} ({covers.value})" if len(found) > 1 else str(digest)
        for covers, digest in found.items()
    )
    raise TemplateError(
        f"{what} has the digest {computed}, and {expected.source} says {expected.digest}",
        hint="the download has been removed; get it again, or ask whoever publishes it",
    )
