"""Files of checksums, in the forms in which vendors publish them.

- coreutils: ``<hex>  <file>`` or ``<hex> *<file>``, a line each (``SHA256SUMS``)
- BSD, as ``sha256sum --tag`` writes: ``SHA256 (<file>) = <hex>`` (Fedora's ``CHECKSUM``)
- a lone ``<hex>``

Comments, blank lines and the armour of a clear-signed message are passed over.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from lago_sdk.templates.digests import Algorithm, Digest, parse_digest

_BSD = re.compile(r"(?P<kind>[A-Za-z0-9-]+) ?\((?P<file>.+)\) ?= ?(?P<hex>[0-9A-Fa-f]+)")
_COREUTILS = re.compile(r"\\?(?P<hex>[0-9A-Fa-f]{32,}) [ *](?P<file>\S.*)")
_STRENGTH = (Algorithm.SHA512, Algorithm.SHA256)
"""What a vendor's checksum may be; the first is the best."""


def parse_checksums(text: str) -> tuple[tuple[str, Digest], ...]:
    """Return file names (empty where there is none) and digests, in the order of the file.

    Digests of kinds that are not known (MD5) are left out.
    """
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        match = _BSD.fullmatch(line) or _COREUTILS.fullmatch(line)
        if match is not None:
            kind = match.groupdict().get("kind")
            digest = parse_digest(f"{kind}:{match['hex']}" if kind else match["hex"])
            name = PurePosixPath(match["file"].strip()).name
        else:
            name, digest = "", parse_digest(line)
        if digest is not None:
            found.append((name, digest))
    return tuple(found)


def find_checksum(text: str, name: str) -> Digest | None:
    """Return the strongest digest of the file *name*, or ``None``.

    A text with a single digest is about the file it was published for, whatever name it gives:
    vendors call the same file by its build's name, and ``latest``.

    Args:
        text: The file of checksums.
        name: The file's name, without directories.
    """
    entries = [(file, item) for file, item in parse_checksums(text) if item.algorithm in _STRENGTH]
    own = [digest for file, digest in entries if file == name]
    if not own and len(entries) == 1:
        own = [entries[0][1]]
    return min(own, key=lambda item: _STRENGTH.index(item.algorithm), default=None)
