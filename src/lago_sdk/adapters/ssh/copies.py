"""Copies to and from a guest by one tar stream each, or by SFTP where the guest has no tar.

What goes where is decided as ``cp -aH`` does: into a directory that is there, else under the
name that is given; links that are named are followed, links below them stay links.
"""

from __future__ import annotations

import os
import posixpath
import shlex
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.pack import Packer
from lago_sdk.errors import LagoError, SSHError, VMError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from lago_sdk.adapters.ssh.guest import SSHGuest
    from lago_sdk.ports.extraction import Skipped

    OnProgress: TypeAlias = Callable[[int, int | None], None]

NAMES_LIMIT = 5000
"""Bytes of names in a command: dropbear takes commands of 9,000 bytes."""
_FULL = ("No space left", "Wrote only", "short write", "Disk quota exceeded")
"""What tar says of a full file system: GNU's mentions it at the end of a file only."""
_PROBE = """\
kind() {
    if [ -d "$1" ]; then printf d; elif [ -e "$1" ] || [ -h "$1" ]; then printf f; else printf -; fi
}
case "$(tar --version 2>&1)" in
    *GNU*) printf G ;;
    *) if command -v tar >/dev/null 2>&1; then printf t; else printf -; fi ;;
esac
target=$1
kind "$target"
kind "$2"
shift 2
for name; do kind "$target/$name"; done
"""
"""Prints a letter for the tar there is, the target, its directory, and each name in the target."""
_RECEIVE = """\
cd -- "$1" || exit
into=$(mktemp -d ./.lago-copy-XXXXXX) || exit
trap 'rm -rf "$into"' EXIT
trap 'exit 1' HUP INT TERM PIPE
tar -C "$into" -xpof - || exit
for entry in "$into"/* "$into"/.[!.]* "$into"/..?*; do
    if [ -e "$entry" ] || [ -h "$entry" ]; then mv -f -- "$entry" . || exit; fi
done
"""
"""Unpacks beside the target and moves what came to its place when all of it is there."""
_RECEIVE_INTO = 'cd -- "$1" || exit; shift; exec tar "$@" -xpof -'
"""Unpacks into directories that are there already: nothing else can add to them."""


@attrs.frozen(kw_only=True)
class GuestPlace:
    """Where copies go in a guest."""

    directory: str
    names: tuple[str, ...]
    """What each source is called there."""
    tar: str
    """``G`` for GNU's, ``t`` for another, ``-`` for none."""
    adds: bool = False
    """Whether a directory of one of the names may be there already."""


def copy_to(
    guest: SSHGuest,
    sources: Sequence[str],
    target: str,
    *,
    follow: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Skipped, ...]:
    """Copy files and directories to a guest; see `lago_sdk.ports.Guest.copy_to`.

    Raises:
        LagoError: A source is not there or cannot be read.
        VMError: The target is not what it should be, or the guest has no space.
        SSHError: The connection was lost.
    """
    place = _find_place(guest, sources, to_relative(target), given=target)
    packer = Packer(
        list(zip(sources, (f"./{name}" for name in place.names), strict=True)),
        follow=follow,
        keeps_holes=place.tar == "G",
        opens_directories=place.tar != "G",
        on_progress=on_progress,
    )
    if place.tar == "-":
        from lago_sdk.adapters.ssh.sftp import send

        send(guest, packer, place.directory)
        return tuple(packer.skipped)
    _unpack(guest, place, packer, target)
    directories = packer.pack_directories() if place.tar != "G" else b""
    if directories:  # busybox makes links at the very end, and so changes times
        _unpack(guest, attrs.evolve(place, adds=True), directories, target)
    return tuple(packer.skipped)


def _unpack(guest: SSHGuest, place: GuestPlace, archive: bytes | Packer, target: str) -> None:
    """Have the guest unpack an archive."""
    if place.adds:
        options = ["--keep-directory-symlink"] if place.tar == "G" else []
        words = ["sh", "-c", _RECEIVE_INTO, "sh", place.directory, *options]
    else:
        words = ["sh", "-c", _RECEIVE, "sh", place.directory]
    try:
        result = guest.run(shlex.join(words), input=archive)
    except SSHError as error:
        message = f"the copy to {guest.name!r} broke off: {error.message}"
        hint = "what was there before is untouched, or partly added to"
        raise SSHError(message, hint=hint) from error
    if result.code != 0:
        raise describe_failure(guest.name, target, result.err or result.out)


def to_relative(path: str) -> str:
    """Return a path in the guest that no program takes for an option, and the shell's as it is.

    ``~/x`` is ``x`` in the login directory, as for scp; so is the empty path.
    """
    if path == "~" or path.startswith("~/"):
        path = path[2:]
    return path if path.startswith("/") else f"./{path}"


def count_quoted(name: str) -> int:
    """Return how many bytes *name* takes in a command for a shell that is run by a shell."""
    return len(os.fsencode(shlex.quote(shlex.quote(name)))) + 1


def describe_failure(vm: str, target: str, told: str) -> VMError:
    """Return our error for what the guest's programs said."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    reason = lines[0] if lines else "the guest does not tell why"
    if any(sign in told for sign in _FULL):
        message = f"no space is left in {vm!r} for the copy to {target!r}"
        return VMError(vm, message, hint="free some there, or give it a bigger disk")
    hint = "may the ssh user write there?" if "ermission denied" in reason else None
    return VMError(vm, f"cannot copy to {target!r} in {vm!r}: {reason}", hint=hint)


def _find_place(guest: SSHGuest, sources: Sequence[str], target: str, *, given: str) -> GuestPlace:
    """Decide what the sources are called in the guest, and check that they can be called so."""
    are_directories = [_is_directory(source) for source in sources]
    names = tuple(_get_name(source) for source in sources)
    bare = target.rstrip("/") or "/"
    parent = posixpath.dirname(bare) or "."
    asks = sum(map(count_quoted, names)) <= NAMES_LIMIT
    tar, kind, parent_kind, *kinds = tuple(_probe(guest, bare, parent, names if asks else ()))
    if kind == "d":
        if len(set(names)) != len(names):
            raise LagoError(
                "two of the sources have the same name", hint="copy one after the other"
            )
        for name, is_directory, found in zip(names, are_directories, kinds, strict=False):
            _check_kind(guest.name, posixpath.join(given, name), found, is_directory=is_directory)
        adds = not asks or any(found == "d" for found in kinds)
        return GuestPlace(directory=bare, names=names, tar=tar, adds=adds)
    if len(sources) != 1 or target.endswith("/"):
        wrong = "is not a directory" if kind == "f" else "is not there"
        raise VMError(guest.name, f"{given!r} {wrong} in {guest.name!r}", hint=_MAKE_HINT)
    if parent_kind != "d":
        message = f"there is no directory {posixpath.dirname(given)!r} in {guest.name!r}"
        raise VMError(guest.name, message, hint=_MAKE_HINT)
    _check_kind(guest.name, given, kind, is_directory=are_directories[0])
    return GuestPlace(directory=parent, names=(posixpath.basename(bare),), tar=tar)


_MAKE_HINT = "make the directory first: mkdir -p"


def _probe(guest: SSHGuest, target: str, parent: str, names: Sequence[str]) -> str:
    """Return the letters of `_PROBE`; those of a guest without a shell say that it has no tar."""
    result = guest.run(shlex.join(["sh", "-c", _PROBE, "sh", target, parent, *names]))
    if result.code != 0 or len(result.out) != 3 + len(names):
        from lago_sdk.adapters.ssh.sftp import probe

        return probe(guest, target, parent, names)
    return result.out


def _check_kind(vm: str, path: str, kind: str, *, is_directory: bool) -> None:
    if kind == "f" and is_directory:
        raise VMError(vm, f"{path!r} in {vm!r} is not a directory, and a directory shall go there")
    if kind == "d" and not is_directory:
        raise VMError(vm, f"{path!r} in {vm!r} is a directory, and a file shall go there")


def _is_directory(source: str) -> bool:
    if not os.path.lexists(source):
        raise LagoError(f"there is no {source!r} on this machine")
    return os.path.isdir(source)  # noqa: PTH112 - a str that may be no text


def _get_name(source: str) -> str:
    """Return what a source is called: its last name, that of the directory for ``.``."""
    name = posixpath.basename(source.rstrip("/"))
    if name in {"", ".", ".."}:
        name = posixpath.basename(os.path.realpath(source))
    if not name:
        raise LagoError("the root directory cannot be copied", hint="name what is in it")
    return name
