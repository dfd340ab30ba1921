"""A download in the making: kept on disk, so that a killed one is taken up at its byte.

::

    STORE/.tmp/.partial/NAME/KEY.part    the first bytes of the file, with holes for zeros
    STORE/.tmp/.partial/NAME/KEY.json    its URL and what the server called this state of it

KEY is made of the URL. The owner holds the template's lock. One thread writes; others read what
is there already, from the beginning, and wait for the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING

from lago_sdk.adapters.files import write_atomic
from lago_sdk.templates.sparse import write_sparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_CHUNK = 1 << 18


class RestartedError(Exception):
    """What has been read is void: the server has another file now."""


class Partial:
    """The file of one download; a :class:`lago_sdk.adapters.http.Sink`.

    Args:
        directory: Where it lies; made, and cleared of all other downloads.
        url: What is downloaded.
    """

    def __init__(self, directory: Path, url: str) -> None:
        key = hashlib.sha256(url.encode()).hexdigest()[:32]
        self.path = directory / f"{key}.part"
        self._record = directory / f"{key}.json"
        self._url = url
        self._changed = threading.Condition()
        self._generation = 0
        self._is_complete = False
        self._error: BaseException | None = None
        self.size: int | None = None
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            if path not in {self.path, self._record}:
                path.unlink(missing_ok=True)
        self.validator = self._read_validator()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if self.validator is None:
            os.ftruncate(self._file, 0)
        self.done = os.fstat(self._file).st_size

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file; what it has stays."""
        os.close(self._file)

    def _read_validator(self) -> str | None:
        try:
            record = json.loads(self._record.read_text())
            if record["url"] == self._url and isinstance(record["validator"], str):
                validator: str = record["validator"]
                return validator
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def begin(self, offset: int, size: int | None, validator: str | None) -> None:
        """See :meth:`lago_sdk.adapters.http.Sink.begin`."""
        with self._changed:
            if offset < self.done:
                self._generation += 1
                os.ftruncate(self._file, offset)
            self.done, self.size = offset, size
            if validator != self.validator or not self._record.exists():
                self.validator = validator
                record = json.dumps({"url": self._url, "validator": validator})
                write_atomic(self._record, record, durable=False)
            self._changed.notify_all()

    def write(self, data: bytes) -> None:
        """Append *data*; runs of zeros become holes.

        Raises:
            BaseException: What a reader failed with.
        """
        if self._error is not None:
            raise self._error
        write_sparse(self._file, data, self.done)
        end = self.done + len(data)
        if data.endswith(b"\0"):
            os.ftruncate(self._file, end)
        with self._changed:
            self.done = end
            self._changed.notify_all()

    def complete(self) -> None:
        """Say that all of it is there."""
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Say that no more will come; readers raise *error*."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def read(self) -> Iterator[bytes]:
        """Yield the content from its beginning, as it comes.

        Raises:
            RestartedError: The file has begun anew: forget what was read, and read again.
        """
        with self._changed:
            generation = self._generation
        position = 0
        while True:
            with self._changed:
                while self._is_current(generation) and self.done == position:
                    if self._is_complete:
                        return
                    self._changed.wait()
                available = self.done - position
            data = os.pread(self._file, min(_CHUNK, available), position)
            with self._changed:
                self._is_current(generation)
            position += len(data)
            yield data

    def _is_current(self, generation: int) -> bool:
        if self._error is not None:
            raise self._error
        if self._generation != generation:
            raise RestartedError
        return True

    def remove(self) -> None:
        """Remove the file and its record."""
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)
