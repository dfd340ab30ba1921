"""Files that a crash cannot leave half-done: written at once, removed whole, locked by name.

The functions of this module together are a :class:`lago_sdk.ports.Files`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import LagoError, LockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from filelock import FileLock

_POLL_SECONDS = 0.02
"""Between two looks at a lock that somebody holds."""
_REMOVE_ATTEMPTS = 5
"""How often a tree is gone through while somebody still writes into it."""
_COMMAND_LIMIT = 120
"""Characters of the holder's command line that are kept."""


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replace *path* by *data*: readers see the old or the new content, nothing between.

    Args:
        path: The file; its directory exists.
        data: What to write; text is encoded as UTF-8.
        mode: Permission bits, whatever the umask.
        durable: Wait until file and name are on the disk, so that they survive a power cut.

    Raises:
        LagoError: It cannot be written; the old content is untouched.
    """
    content = data.encode() if isinstance(data, str) else data
    try:
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(descriptor, mode)
                if durable:
                    os.fsync(descriptor)
            os.replace(unfinished, path)  # noqa: PTH105 - one system call, made plain
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(unfinished).unlink()
            raise
        if durable:
            _sync_directory(path.parent)
    except OSError as error:
        raise _translate(error, f"cannot write {str(path)!r}") from error


def _sync_directory(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(scratch: Path, target: Path) -> None:
    """Have the directory *scratch* at *target*, with all that is in it on the disk before.

    Args:
        scratch: A directory that is complete, on the file system of *target*.
        target: Its final name: nothing is there, or an empty directory.

    Raises:
        LagoError: Something is there, or it cannot be renamed; *scratch* stays.
    """
    try:
        for directory, _, names in os.walk(scratch, topdown=False):
            for name in names:
                _sync(Path(directory, name), os.O_RDONLY | os.O_NOFOLLOW)
            _sync(Path(directory), os.O_RDONLY | os.O_DIRECTORY)
        os.rename(scratch, target)  # noqa: PTH104 - one system call, made plain
        _sync_directory(target.parent)
    except OSError as error:
        raise _translate(error, f"cannot make the directory {str(target)!r}") from error


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, never following links; idempotent.

    Somebody who still writes into it (a QEMU that is ending) does not make it fail.

    Raises:
        LagoError: *path* is a link, a file, a mount point, the root or a home directory, or it
            cannot be removed.
    """
    _check_removable(path)
    for attempt in range(_REMOVE_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # Either all of it is gone, or somebody removed a file while we were at it.
            if not path.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or attempt == _REMOVE_ATTEMPTS - 1:
                raise _translate(error, f"cannot remove {str(path)!r}") from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _check_removable(path: Path) -> None:
    reason = None
    if path.is_symlink():
        reason = "it is a symbolic link"
    elif path.exists() and not path.is_dir():
        reason = "it is not a directory"
    elif path.resolve() in {Path("/"), Path.home()}:
        reason = "it is the root or the home directory"
    elif path.is_mount():
        reason = "something is mounted on it"
    if reason is not None:
        raise LagoError(f"will not remove {str(path)!r}: {reason}", hint="look at it yourself")


@attrs.frozen(kw_only=True)
class LockHolder:
    """Who holds a lock, as the holder wrote it down."""

    pid: int
    command: str
    """Its command line."""
    purpose: str
    """What it does under the lock, as a verb phrase: ``"start"``."""
    since: float
    """When it got the lock, in seconds since the epoch."""

    def describe(self, now: float) -> str:
        """Say in a few words who it is and for how long it has been at it."""
        seconds = max(0.0, now - self.since)
        return f"process {self.pid} ({self.command}) for {seconds:.1f} s, to {self.purpose}"


@contextlib.contextmanager
def lock(path: Path, *, timeout: float, purpose: str, mode: int = 0o644) -> Iterator[None]:
    """Hold the lock file *path* for the block.

    The lock is an exclusive ``flock``: the kernel gives it back however its holder ends. Who
    holds it is told in a file beside it, ``<path>.holder``, which is only read to explain a
    wait. Two threads of one process exclude each other as well.

    Args:
        path: The lock file; made where it does not exist and kept afterwards.
        timeout: Seconds to wait at most; 0 tries once.
        purpose: What is done under the lock, as a verb phrase, for others to read.
        mode: Permission bits of a lock file that is made here.

    Raises:
        LockedError: Somebody holds it for longer than *timeout* seconds; says who.
        LagoError: The lock file cannot be opened.
    """
    flock = _acquire(path, timeout=timeout, mode=mode)
    holder_path = _holder_path(path)
    try:
        _write_holder(holder_path, purpose)
        yield
    finally:
        # The directory may be gone, and the lock file with it: that is what destroy does.
        with contextlib.suppress(OSError):
            holder_path.unlink()
        flock.release()


def _acquire(path: Path, *, timeout: float, mode: int) -> FileLock:
    from filelock import FileLock, Timeout

    flock = FileLock(path, timeout=0, mode=mode, thread_local=False)
    deadline = time.monotonic() + timeout
    while True:
        with _held(path.parent) as is_there:
            if not is_there():
                raise _homeless(path)
            try:
                flock.acquire()
            except Timeout as error:
                if time.monotonic() >= deadline:
                    raise _locked_error(path, timeout) from error
            except OSError as error:
                raise _translate(error, f"cannot lock {str(path)!r}") from error
            else:
                if is_there():
                    return flock
                # filelock has made it anew: a prefix was destroyed while we waited.
                path.unlink(missing_ok=True)
                flock.release()
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
                raise _homeless(path)
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether *directory* is still the one that it is now."""
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield lambda: False
        return

    def is_there() -> bool:
        try:  # while the descriptor is open, no other directory has its number
            return os.path.samestat(os.fstat(descriptor), directory.stat())
        except OSError:
            return False

    try:
        yield is_there
    finally:
        os.close(descriptor)


def _homeless(path: Path) -> LagoError:
    return LagoError(f"cannot lock {str(path)!r}: its directory does not exist")


def find_lock_holder(path: Path) -> LockHolder | None:
    """Return who last said to hold the lock file *path*, or ``None``."""
    try:
        record = json.loads(_holder_path(path).read_text())
        return LockHolder(
            pid=int(record["pid"]),
            command=str(record["command"]),
            purpose=str(record["purpose"]),
            since=float(record["since"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _write_holder(path: Path, purpose: str) -> None:
    record = {
        "pid": os.getpid(),
        "command": _own_command(),
        "purpose": purpose,
        "since": time.time(),
    }
    # A courtesy to those who wait: no reason to fail, and half a record is read as none.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError), open(os.open(path, flags, 0o644), "w") as file:  # noqa: PTH123
        json.dump(record, file)


def _own_command() -> str:
    try:
        raw = Path("/proc/self/cmdline").read_bytes()
    except OSError:
        return "unknown"
    words = [word.decode(errors="replace") for word in raw.split(b"\0") if word]
    text = " ".join(shlex.join(words).split())
    return text if len(text) <= _COMMAND_LIMIT else f"{text[:_COMMAND_LIMIT]}…"


def _locked_error(path: Path, timeout: float) -> LockedError:
    holder = find_lock_holder(path)
    waited = f" (waited {timeout:g} s)" if timeout > 0 else ""
    if holder is None:
        hint = "try again; fuser -v on the file shows who has it open"
        return LockedError(f"somebody holds the lock {str(path)!r}{waited}", hint=hint)
    told = holder.describe(time.time())
    hint = f"wait for it, or end process {holder.pid}: the lock frees itself"
    return LockedError(f"the lock {str(path)!r} is held by {told}{waited}", hint=hint, holder=told)


def _translate(error: OSError, what: str) -> LagoError:
    reason = error.strerror or str(error)
    hints = {
        errno.ENOSPC: "the file system is full",
        errno.EROFS: "the file system is mounted read-only",
        errno.ENOTEMPTY: "there is something in it already: take another name",
        errno.EBUSY: "something is mounted there: name a directory in it",
        errno.EACCES: "you lack the permission; look at the owner with ls -ld",
        errno.EPERM: "you lack the permission; look at the owner with ls -ld",
    }
    return LagoError(f"{what}: {reason}", hint=hints.get(error.errno or 0))
