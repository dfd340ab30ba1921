"""Copies from a guest: what it sends lands beside the target, and is moved there when whole."""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.landing import CHUNK, Landing, landing_error
from lago_sdk.adapters.ssh.copies import NAMES_LIMIT, count_quoted, to_relative
from lago_sdk.adapters.unpack import split, unpack
from lago_sdk.errors import LagoError, PathNotFoundError, SSHError, VMError
from lago_sdk.ports.extraction import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_sdk.adapters.landing import Parts
    from lago_sdk.adapters.ssh.copies import OnProgress
    from lago_sdk.adapters.ssh.guest import SSHGuest
    from lago_sdk.ports import GuestStream

_LOOK = r"""
case "$(tar --version 2>&1)" in
    *GNU*) printf G ;;
    *) if command -v tar >/dev/null 2>&1; then printf t; else printf -; fi ;;
esac
for path; do
    if [ -d "$path" ]; then printf 'd 0 '
    elif [ -e "$path" ]; then printf 'f %s ' "$(stat -L -c %s -- "$path" 2>/dev/null)"
    else printf -; fi
    if [ -e "$path" ]; then
        found=$(readlink -f -- "$path" && printf x)
        printf '%s' "${found%??}"
    fi
    printf '\0'
done
"""
"""Prints a letter for the tar there is, and for each path what it is, its size and where it is.
A command substitution would lose line ends that a name ends in: hence the x."""


@attrs.frozen(kw_only=True)
class Wanted:
    """A file or directory of the guest, and where it goes."""

    path: str
    """As it was asked for."""
    real: str
    """Without links, from the root."""
    is_directory: bool
    size: int | None
    place: Path

    @property
    def parts(self) -> Parts:
        """The names along the way to it."""
        return split(self.real)


def copy_from(
    guest: SSHGuest,
    sources: Sequence[str],
    target: Path,
    *,
    follow: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Skipped, ...]:
    """Copy files and directories from a guest; see `lago_sdk.ports.Guest.copy_from`.

    Raises:
        PathNotFoundError: The guest does not have one of them; nothing was copied.
        LagoError: The target is not what it should be, or cannot be written.
        SSHError: The connection was lost; the target is as it was.
    """
    into = target.is_dir()
    base = target if into else target.parent
    if not into and (len(sources) != 1 or not base.is_dir()):
        missing = base if len(sources) == 1 else target
        raise LagoError(f"there is no directory {str(missing)!r} on this machine")
    tar, wanted = _look(guest, sources, target, into=into)
    meter = _Meter(wanted, on_progress)
    skipped: list[Skipped] = []
    with _temporary(base) as directory:
        landings = [
            Landing(directory / str(number), item.path, exact=True)
            for number, item in enumerate(wanted)
        ]
        for batch in _list_batches(wanted):
            pairs = {wanted[number].parts: landings[number] for number in batch}
            if tar == "-":
                from lago_sdk.adapters.ssh.sftp import receive

                receive(guest, pairs, follow=follow, count=meter.count)
            else:
                skipped += _receive(guest, pairs, gnu=tar == "G", follow=follow, meter=meter)
        for landing in landings:
            skipped += landing.skipped
        for number, item in enumerate(wanted):
            _settle(guest.name, directory / str(number), item, skipped)
    return tuple(skipped)


def _look(
    guest: SSHGuest, sources: Sequence[str], target: Path, *, into: bool
) -> tuple[str, list[Wanted]]:
    """Ask the guest what the sources are, and decide where they go."""
    paths = [to_relative(source) for source in sources]
    answer = b""
    for some in _split_names(paths):
        with guest.stream(shlex.join(["sh", "-c", _LOOK, "sh", *some])) as stream:
            told = stream.read()
            if stream.code != 0 or told.count(b"\0") != len(some):
                from lago_sdk.adapters.ssh.sftp import look

                return "-", _plan(guest.name, sources, look(guest, paths), target, into=into)
            answer += told[1:]
    tar = told[:1].decode()
    fields = [os.fsdecode(field) for field in answer.split(b"\0")[:-1]]
    return tar, _plan(guest.name, sources, fields, target, into=into)


def _plan(
    vm: str, sources: Sequence[str], fields: Sequence[str], target: Path, *, into: bool
) -> list[Wanted]:
    missing = [path for path, field in zip(sources, fields, strict=True) if field == "-"]
    if missing:
        raise PathNotFoundError(vm, missing)
    wanted: list[Wanted] = []
    for path, field in zip(sources, fields, strict=True):
        kind, size, real = field.split(" ", 2)
        name = posixpath.basename(path.rstrip("/"))
        name = posixpath.basename(real) if name in {"", ".", ".."} else name
        place = target / name if into else target
        if not name:
            raise LagoError("the root directory cannot be copied", hint="name what is in it")
        is_directory = kind == "d"
        if place.exists() and place.is_dir() != is_directory:
            what = "is not a directory" if is_directory else "is a directory"
            raise LagoError(f"{str(place)!r} {what}, unlike {path!r} in {vm!r}")
        if any(other.place == place for other in wanted):
            raise LagoError(f"two of the sources are called {name!r}", hint="copy one by one")
        length = int(size) if size.isdigit() and not is_directory else None
        wanted.append(
            Wanted(path=path, real=real, is_directory=is_directory, size=length, place=place)
        )
    return wanted


def _split_names(names: Sequence[str]) -> Iterator[list[str]]:
    """Split names so that each part fits into a command."""
    part: list[str] = []
    length = 0
    for name in names:
        size = count_quoted(name)
        if part and length + size > NAMES_LIMIT:
            yield part
            part, length = [], 0
        part.append(name)
        length += size
    yield part


def _list_batches(wanted: Sequence[Wanted]) -> list[list[int]]:
    """Split so that in no batch one path is below another, and each fits into a command."""
    batches: list[list[int]] = []
    length = 0
    for number, item in enumerate(wanted):
        size = count_quoted(item.real)
        fits = batches and length + size <= NAMES_LIMIT
        if not fits or any(_overlap(item.parts, wanted[other].parts) for other in batches[-1]):
            batches.append([])
            length = 0
        batches[-1].append(number)
        length += size
    return batches


def _overlap(one: Parts, other: Parts) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _receive(
    guest: SSHGuest, landings: dict[Parts, Landing], *, gnu: bool, follow: bool, meter: _Meter
) -> list[Skipped]:
    """Fetch paths by one stream; returns what the guest's tar complained of."""
    options = [*(["-S"] if gnu else []), *(["-h"] if follow else [])]
    names = ["/".join((".", *parts)) for parts in landings]
    command = shlex.join(["tar", "-C", "/", *options, "-cf", "-", *names])
    with guest.stream(command) as stream:
        try:
            unpack(meter.read(stream), landings)
        except SSHError as error:
            message = f"the copy from {guest.name!r} broke off: {error.message}"
            raise SSHError(message, hint="nothing of it was kept") from error
        code, err = stream.code, stream.err
    if not code:
        return []
    lines = [line for line in err.splitlines() if line.startswith("tar: ")]
    ends = ("exit", "Exiting", "error exit")
    return [
        Skipped(path=line.removeprefix("tar: "), reason="the guest's tar complains")
        for line in lines
        if not any(word in line for word in ends)
    ]


class _Meter:
    """Counts what arrives.

    Args:
        wanted: What is to arrive.
        tell: Called with the bytes that have come, and all there are where that is known.
    """

    def __init__(self, wanted: Sequence[Wanted], tell: OnProgress | None) -> None:
        sizes = [item.size for item in wanted]
        self._total = None if None in sizes else sum(size or 0 for size in sizes)
        self._tell = tell
        self._done = 0

    def read(self, stream: GuestStream) -> Iterator[bytes]:
        """Yield all that *stream* has."""
        while chunk := stream.read(CHUNK):
            self.count(len(chunk))
            yield chunk

    def count(self, size: int) -> None:
        """Take note of *size* bytes."""
        self._done += size
        if self._tell is not None:
            # The archive's own headers must not make it more than there is.
            done = self._done if self._total is None else min(self._done, self._total)
            self._tell(done, self._total)


@contextmanager
def _temporary(base: Path) -> Iterator[Path]:
    """A directory beside the targets for what has not come to its end."""
    try:
        directory = Path(tempfile.mkdtemp(prefix=".lago-copy-", dir=base))
    except OSError as error:
        raise landing_error(base, error) from error
    try:
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    """Remove a tree whose directories may forbid it to their owner."""
    for path, names, _ in os.walk(directory):
        for name in names:
            below = Path(path, name)
            if not below.is_symlink():
                below.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _settle(vm: str, came: Path, item: Wanted, skipped: Sequence[Skipped]) -> None:
    """Move what came to its place.

    Raises:
        VMError: Nothing came.
        LagoError: It cannot be moved.
    """
    if not os.path.lexists(came):
        reason = next((entry.reason for entry in skipped if entry.path == item.path), None)
        raise VMError(vm, f"{item.path!r} cannot be copied from {vm!r}: {reason or 'nothing came'}")
    try:
        _merge(came, item.place)
    except OSError as error:
        raise landing_error(item.place, error) from error


def _merge(came: Path, place: Path) -> None:
    """Put *came* at *place*: a directory is added to, anything else replaced."""
    info = came.lstat()
    if not stat.S_ISDIR(info.st_mode):
        came.replace(place)
        return
    came.chmod(0o700)  # who may not write it may not move it
    if not place.is_dir():
        came.replace(place)
    else:
        for below in list(came.iterdir()):
            _merge(below, place / below.name)
    place.chmod(stat.S_IMODE(info.st_mode))
    os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns))
