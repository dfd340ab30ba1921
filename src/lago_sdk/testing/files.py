"""Files without the waits for the disk."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import LagoError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeFiles:
    """A `lago_sdk.ports.Files` on real directories that syncs nothing.

    Locks exclude the threads of this process only; a thread that asks for a lock it holds itself
    finds it taken, which is how a test plays another process.
    """

    def __init__(self) -> None:
        self._locks: dict[Path, threading.Lock] = {}
        self._purposes: dict[Path, str] = {}
        self._mutex = threading.Lock()

    def write_atomic(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        """See `Files.write_atomic`.

        Raises:
            LagoError: It cannot be written.
        """
        content = data.encode() if isinstance(data, str) else data
        try:
            with tempfile.NamedTemporaryFile(
                dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as file:
                file.write(content)
            unfinished = Path(file.name)
            try:
                unfinished.chmod(mode)
                unfinished.replace(path)
            except OSError:
                unfinished.unlink()
                raise
        except OSError as error:
            raise LagoError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def publish(self, scratch: Path, target: Path) -> None:
        """See `Files.publish`.

        Raises:
            LagoError: Something is there.
        """
        try:
            scratch.rename(target)
        except OSError as error:
            message = f"cannot make the directory {str(target)!r}: {error.strerror}"
            raise LagoError(message) from error

    def remove_tree(self, path: Path) -> None:
        """See `Files.remove_tree`.

        Raises:
            LagoError: *path* is a link or a file.
        """
        if path.is_symlink():
            raise LagoError(f"will not remove {str(path)!r}: it is a symbolic link")
        if path.exists() and not path.is_dir():
            raise LagoError(f"will not remove {str(path)!r}: it is not a directory")
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    @contextlib.contextmanager
    def lock(self, path: Path, *, timeout: float, purpose: str) -> Iterator[None]:
        """See `Files.lock`.

        Raises:
            LockedError: Somebody holds it for longer than *timeout* seconds.
            LagoError: Its directory does not exist.
        """
        if not path.parent.is_dir():
            raise LagoError(f"cannot lock {str(path)!r}: its directory does not exist")
        with self._mutex:
            lock = self._locks.setdefault(path, threading.Lock())
        if not lock.acquire(timeout=timeout):
            held_for = self._purposes.get(path, "do something else")
            holder = f"another thread, to {held_for}"
            raise LockedError(f"the lock {str(path)!r} is held by {holder}", holder=holder)
        try:
            self._purposes[path] = purpose
            yield
        finally:
            self._purposes.pop(path, None)
            lock.release()
