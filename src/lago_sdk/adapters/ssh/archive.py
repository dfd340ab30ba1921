"""Files and directories of a guest by one tar stream.

Asked of the guest are a shell, ``readlink -f`` and ``tar``, as busybox has them. It is told whole
paths without links, so that what arrives can be told apart by name.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from lago_sdk.adapters.landing import CHUNK, Landing
from lago_sdk.adapters.unpack import split, unpack
from lago_sdk.errors import SSHError
from lago_sdk.ports.extraction import Extraction, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import TypeAlias

    from lago_sdk.adapters.landing import Parts
    from lago_sdk.ports import GuestStream

    OpenStream: TypeAlias = Callable[[str], AbstractContextManager[GuestStream]]

_RESOLVE = r"""
for path; do
    if [ -e "$path" ]; then
        found=$(readlink -f "$path" && printf x)
        printf '%s' "${found%??}"
    fi
    printf '\0'
done
if tar --version 2>/dev/null | grep -q GNU; then printf GNU; fi
"""
"""Prints what each path leads to, nothing for one that is missing, each ended by a NUL, and which
tar there is. A command substitution would lose line ends that a name ends in: hence the x."""
_COMPLAINT = re.compile(r"tar: (?:can't \w+ ')?(?P<path>\./.*?)'?: (?P<reason>.+)")
_NOT_FOUND = 127
"""A shell's exit code for a program that is not there."""
_HARMLESS = ("Exiting with failure status", "file changed as we read it", "socket ignored")


def extract(
    paths: Sequence[tuple[str, Path]],
    open_stream: OpenStream,
) -> Extraction:
    """Copy files and directories from a guest; see `lago_sdk.ports.Guest.extract`.

    Args:
        paths: What to copy, and the names it gets here.
        open_stream: Runs a command in the guest.

    Raises:
        SSHError: The connection broke, or the guest lacks tar.
        LagoError: They cannot be written here.
    """
    if not paths:
        return Extraction()
    found, is_gnu = _resolve([path for path, _ in paths], open_stream)
    missing = tuple(path for (path, _), real in zip(paths, found, strict=True) if real is None)
    wanted = [
        (path, split(real), Landing(place, path))
        for (path, place), real in zip(paths, found, strict=True)
        if real is not None
    ]
    skipped: list[Skipped] = []
    for layer in _list_layers([(parts, landing) for _, parts, landing in wanted]):
        skipped += _fetch(layer, is_gnu=is_gnu, open_stream=open_stream)
    for _, _, landing in wanted:
        if not landing.has_arrived:
            landing.skip((), "the guest did not send it")
        skipped += landing.skipped
    collected = tuple(path for path, _, landing in wanted if landing.has_arrived)
    return Extraction(collected=collected, missing=missing, skipped=tuple(skipped))


def _resolve(paths: Sequence[str], open_stream: OpenStream) -> tuple[list[str | None], bool]:
    """Return what paths lead to in the guest (``None`` is missing), and whether tar is GNU's."""
    with open_stream(shlex.join(["sh", "-c", _RESOLVE, "sh", *paths])) as stream:
        answer = stream.read()
        *found, tool = answer.split(b"\0")
        if stream.code or len(found) != len(paths):
            raise SSHError(f"the guest does not tell its files: {stream.err.strip() or answer!r}")
    return [name.decode(errors="replace") or None for name in found], tool == b"GNU"


def _list_layers(
    landings: Sequence[tuple[Parts, Landing]],
) -> list[dict[Parts, Landing]]:
    """Split what is wanted so that in no part one path is below another, or the same."""
    layers: list[dict[Parts, Landing]] = []
    for parts, landing in landings:
        for layer in layers:
            if not any(_overlap(parts, other) for other in layer):
                layer[parts] = landing
                break
        else:
            layers.append({parts: landing})
    return layers


def _overlap(one: Parts, other: Parts) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _fetch(
    landings: Mapping[Parts, Landing],
    *,
    is_gnu: bool,
    open_stream: OpenStream,
) -> list[Skipped]:
    """Fetch paths by one stream; returns what the guest's tar could not read."""
    names = ["/".join((".", *parts)) for parts in landings]
    sparse = ["-S"] if is_gnu else []
    command = shlex.join(["tar", "-C", "/", *sparse, "-cf", "-", *names])
    with open_stream(command) as stream:
        unpack(iter(lambda: stream.read(CHUNK), b""), landings)
        if stream.code == _NOT_FOUND:
            raise SSHError("the guest has no tar", hint="install tar or busybox in the guest")
        return list(_list_complaints(stream.err)) if stream.code else []


def _list_complaints(text: str) -> Iterator[Skipped]:
    for line in text.splitlines():
        match = _COMPLAINT.fullmatch(line)
        if match is not None and not any(word in line for word in _HARMLESS):
            yield Skipped(path=match["path"].removeprefix("."), reason=match["reason"])
