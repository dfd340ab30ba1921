"""Where checkpoints are kept: directories of the user's cache that appear and go whole.

::

    CACHE/checkpoints/
      KEY/                one checkpoint; its name is the SHA-256 of key.json
        key.json          all that made it
        record.json       what is in it, with sizes and digests
        usage.json        when it was last used, and how often
        fork/             memories and machines
        images/layers/    what disks hold above their templates
        id_ed25519, …     keys, as the lab had them
      .making/            what is being written; nobody looks for a checkpoint there
      .removed/           what is on its way out
      .locks/             KEY.lock: who brings up a lab that others wait for

Files are the owner's alone: they hold private keys, and memories hold more. A directory appears
under its name by one rename once all is in it, and is taken out by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from lago_sdk.errors import LagoError, LockedError
from lago_sdk.service.checkpoints.key import FORMAT, Key
from lago_sdk.service.checkpoints.model import Checkpoint
from lago_sdk.service.layout import PrefixLayout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lago_sdk.ports import Files

_BLOCK = 512
"""Bytes of a block in ``st_blocks``, whatever the file system."""
_KEY_DIGITS = 64
_KEY, _RECORD, _USAGE = "key.json", "record.json", "usage.json"
_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700
_LOCK_SECONDS = 60.0
"""Checkpoints are published and taken out under the lock by a rename: that takes no time."""
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)


@attrs.frozen(kw_only=True)
class Member:
    """A file of a checkpoint."""

    name: str
    """Its path in the checkpoint, and in labs that are made of it."""
    size: int
    digest: str
    """SHA-256, 64 hex digits."""
    mode: int
    """Permission bits that it has in labs."""


class DamagedError(Exception):
    """A checkpoint is not what it was when it was made; says why. It leaves no service."""


class CheckpointStore:
    """The checkpoints of one user.

    Args:
        path: Its directory; made when something is written.
        files: Writes, removes and locks.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self._files = files

    # -- looking ---------------------------------------------------------------------------

    def find_path(self, key: Key) -> Path | None:
        """Return the directory of the checkpoint that fits *key*, document for document.

        Raises:
            DamagedError: There is one whose document is another.
        """
        path = self.path / key.digest
        try:
            document = (path / _KEY).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise DamagedError(f"its key cannot be read: {error}") from error
        if document != key.document:
            raise DamagedError("its key is not the one of its name")
        return path

    def read_members(self, path: Path) -> tuple[Member, ...]:
        """Return what is in the checkpoint *path*.

        Raises:
            DamagedError: Its record is damaged.
        """
        try:
            record = self._read_record(path)
            return tuple(Member(**member) for member in record["members"])
        except _DAMAGE as error:
            raise DamagedError(f"its record cannot be read: {error}") from error

    def read_made(self, path: Path) -> float:
        """Return when the checkpoint *path* was made, in seconds since the epoch.

        Raises:
            DamagedError: Its record is damaged.
        """
        try:
            return float(self._read_record(path)["made"])
        except _DAMAGE as error:
            raise DamagedError(f"its record cannot be read: {error}") from error

    def read_document(self, path: Path) -> str | None:
        """Return the key of the checkpoint *path*; ``None`` where it cannot be read."""
        with suppress(OSError, ValueError):
            return (path / _KEY).read_text()
        return None

    def list(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints there are, the last used first; damaged ones come last."""
        found = [
            checkpoint
            for path in _list_directories(self.path)
            if len(path.name) == _KEY_DIGITS and (checkpoint := self._describe(path)) is not None
        ]
        return tuple(sorted(found, key=lambda x: (-x.last_used, x.key)))

    # -- changing --------------------------------------------------------------------------

    @contextmanager
    def making(self) -> Iterator[PrefixLayout]:
        """Give a new directory for the block, which is removed after it unless published.

        Raises:
            LagoError: The cache cannot be written.
        """
        scratch = self._make_directory(".making")
        name = uuid4().hex
        with self._files.lock(scratch / f"{name}.lock", timeout=0, purpose="write a checkpoint"):
            place = scratch / name
            try:
                place.mkdir(mode=_DIRECTORY_MODE)
                yield PrefixLayout(place)
            finally:
                self._files.remove_tree(place)
                (scratch / f"{name}.lock").unlink(missing_ok=True)

    def publish(self, layout: PrefixLayout, key: Key, *, lab: str, vms: tuple[str, ...]) -> float:
        """Have what lies at *layout* found from now on; the first with a key stays.

        Args:
            layout: What `making` gave, complete.
            key: What it is found by.
            lab: Directory of the lab that it was made of.
            vms: The names of its VMs.

        Returns:
            When the checkpoint that is found now was made, in seconds since the epoch.

        Raises:
            OSError: It cannot be read or written.
        """
        members = [_describe_member(path, layout.path) for path in _list_files(layout.path)]
        made = round(time.time(), 3)
        record = {
            "format": FORMAT,
            "made": made,
            "lab": lab,
            "vms": vms,
            "members": [attrs.asdict(member) for member in members],
        }
        for name, text in ((_KEY, key.document), (_RECORD, json.dumps(record))):
            self._files.write_atomic(layout.path / name, text, mode=_FILE_MODE)
        for directory, _, names in os.walk(layout.path):
            Path(directory).chmod(_DIRECTORY_MODE)
            for name in names:
                Path(directory, name).chmod(_FILE_MODE)
        with self._changing("publish a checkpoint"):
            place = self.path / key.digest
            with suppress(DamagedError):
                if self.find_path(key) is not None:
                    return self.read_made(place)
            self._take_out(place)
            layout.path.rename(place)
        return made

    def note_use(self, path: Path) -> None:
        """Note that a lab was made of the checkpoint *path*; a courtesy that may fail."""
        with suppress(LagoError, OSError), self._changing("note the use of a checkpoint"):
            _, hits = _read_usage(path)
            text = json.dumps({"last_used": round(time.time(), 3), "hits": hits + 1})
            self._files.write_atomic(path / _USAGE, text, mode=_FILE_MODE)

    def remove(self, key: str) -> None:
        """Remove a checkpoint; labs that were made of it keep what they have. Idempotent.

        Raises:
            LagoError: The cache cannot be written.
        """
        with self._changing("remove a checkpoint"):
            place = self._take_out(self.path / key)
        if place is not None:
            self._files.remove_tree(place)

    def clear_leftovers(self) -> None:
        """Remove what killed processes left in the making, or on the way out."""
        for path in _list_directories(self.path / ".removed"):
            self._files.remove_tree(path)
        scratch = self.path / ".making"
        for path in _list_directories(scratch):
            lock = scratch / f"{path.name}.lock"
            with suppress(LockedError), self._files.lock(lock, timeout=0, purpose="clear"):
                self._files.remove_tree(path)
                lock.unlink(missing_ok=True)

    def lock_path(self, key: Key) -> Path:
        """Return the lock of who brings up the lab of *key* for the first time."""
        return self._make_directory(".locks") / f"{key.digest}.lock"

    # -- inside ----------------------------------------------------------------------------

    @contextmanager
    def _changing(self, purpose: str) -> Iterator[None]:
        lock = self._make_directory(".locks") / ".store.lock"
        with self._files.lock(lock, timeout=_LOCK_SECONDS, purpose=purpose):
            yield

    def _take_out(self, path: Path) -> Path | None:
        """Take an entry out by one rename; the caller holds the lock."""
        place = self._make_directory(".removed") / uuid4().hex
        try:
            path.rename(place)
        except FileNotFoundError:
            return None
        return place

    def _make_directory(self, name: str) -> Path:
        path = self.path / name
        try:
            self.path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        except OSError as error:
            message = f"the cache {str(self.path)!r} cannot be written: {error.strerror}"
            raise LagoError(message, hint="see the setting cache_dir") from error
        return path

    def _read_record(self, path: Path) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((path / _RECORD).read_text())
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']}, not {FORMAT}")
        return record

    def _describe(self, path: Path) -> Checkpoint | None:
        """Return what is known of an entry; ``None`` where it is gone by now."""
        try:
            record = self._read_record(path)
        except FileNotFoundError:
            if not path.exists():
                return None
            record = {}
        except _DAMAGE:
            record = {}
        last_used, hits = _read_usage(path)
        made = float(record.get("made", 0.0))
        usage, reclaimable, links = _measure(path)
        return Checkpoint(
            key=path.name,
            path=path,
            vms=tuple(record.get("vms", ())),
            made=made,
            last_used=max(made, last_used),
            hits=hits,
            lab=str(record.get("lab", "")),
            disk_usage=usage,
            reclaimable=reclaimable,
            users=max(links - 1, 0),
        )


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, which is read whole, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe_member(path: Path, root: Path) -> Member:
    stat = path.stat()
    name, mode = str(path.relative_to(root)), stat.st_mode & 0o777
    return Member(name=name, size=stat.st_size, digest=digest_file(path), mode=mode)


def _list_files(path: Path) -> Iterator[Path]:
    return (found for found in sorted(path.rglob("*")) if found.is_file())


def _list_directories(path: Path) -> tuple[Path, ...]:
    with suppress(OSError):
        return tuple(sorted(entry for entry in path.iterdir() if entry.is_dir()))
    return ()


def _read_usage(path: Path) -> tuple[float, int]:
    try:
        found = json.loads((path / _USAGE).read_text())
        return float(found["last_used"]), int(found["hits"])
    except _DAMAGE:
        return 0.0, 0


def _measure(path: Path) -> tuple[int, int, int]:
    """Return the bytes that a checkpoint takes, those that nobody shares, and its most links."""
    usage = reclaimable = 0
    links = 1
    for found in _list_files(path):
        with suppress(OSError):  # removed since it was listed
            stat = found.stat()
            usage += stat.st_blocks * _BLOCK
            reclaimable += stat.st_blocks * _BLOCK if stat.st_nlink == 1 else 0
            is_layer = found.parent.name == "layers"
            links = max(links, stat.st_nlink) if is_layer else links
    return usage, reclaimable, links
