"""Download, check and decompress an image in one pass, in bounded memory."""

from __future__ import annotations

import errno
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from lago_sdk.adapters import http
from lago_sdk.errors import LagoError, TemplateError
from lago_sdk.events import Note
from lago_sdk.templates.decompress import Compression, decompress, find_compression, peek, run_ahead
from lago_sdk.templates.digests import (
    Algorithm,
    Covers,
    Digest,
    Hashes,
    check_digest,
    hash_along,
)
from lago_sdk.templates.locations import find_local_path, translate
from lago_sdk.templates.partial import Partial, RestartedError
from lago_sdk.templates.sparse import write_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lago_sdk.adapters.http_client import Limits
    from lago_sdk.events import Observer
    from lago_sdk.templates.digests import Expected

_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_TELL_SECONDS = 0.2
"""Between two reports of progress."""


@attrs.frozen(kw_only=True)
class Fetched:
    """An image that has been fetched and checked."""

    path: Path
    digest: str
    """``sha256:<hex>`` of the file at *path*."""


class Transfer:
    """Fetches one image.

    Args:
        url: The image, perhaps compressed.
        expected: The digest it must have.
        partial_directory: Where the download is kept, for the next try. Whoever has put the
            image in its place removes it.
        target: The new file.
        limits: How patient to be with the server.
        observer: Told of retries.
        progress: Called with bytes done, bytes in all or ``None``, and bytes per second.
    """

    def __init__(
        self,
        url: str,
        *,
        expected: Expected,
        partial_directory: Path,
        target: Path,
        limits: Limits,
        observer: Observer,
        progress: Callable[[int, int | None, float], None],
    ) -> None:
        self._url = url
        self._expected = expected
        self._directory = partial_directory
        self._target = target
        self._limits = limits
        self._observer = observer
        self._tell = progress

    def run(self) -> Fetched:
        """Do it.

        Raises:
            TemplateError: The image cannot be had, is damaged, or there is no room for it. What
                has been fetched is kept for the next try where that can help.
        """
        local = find_local_path(self._url)
        try:
            if local is not None:
                total = local.stat().st_size
                chunks = _follow(_read(local), _Meter(self._tell), total)
                return self._expand(chunks, None)
            with Partial(self._directory, self._url) as partial:
                return self._download(partial)
        except OSError as error:
            hint = "free some space, or lagoctl template gc" if error.errno in _FULL else None
            reason = error.strerror or str(error)
            raise TemplateError(f"cannot fetch {self._url}: {reason}", hint=hint) from error

    def _download(self, partial: Partial) -> Fetched:
        worker = _Worker(lambda: self._expand_all(partial), partial.fail)
        try:
            sink = _Metered(partial, _Meter(self._tell))
            http.fetch(self._url, sink, limits=self._limits, note=self._note)
            partial.complete()
        except BaseException as error:
            partial.fail(error)
            worker.wait()
            if worker.error is not None and worker.error is not error:
                self._drop(partial, worker.error)
                raise worker.error from None
            self._drop(partial, error)
            if isinstance(error, LagoError):
                raise translate(error) from error
            raise
        worker.wait()
        if worker.error is not None:
            self._drop(partial, worker.error)
            raise worker.error
        assert worker.result is not None
        return worker.result

    def _drop(self, partial: Partial, error: BaseException) -> None:
        """Remove what cannot be taken up again: damaged data, or data there is no room for."""
        damaged = isinstance(error, TemplateError)
        full = isinstance(error, OSError) and error.errno in _FULL
        if damaged or full:
            partial.remove()

    def _note(self, message: str) -> None:
        self._observer(Note(message=message, warning=True))

    def _expand_all(self, partial: Partial) -> Fetched:
        while True:
            try:
                return self._expand(partial.read(), partial.path)
            except RestartedError:
                continue

    def _expand(self, chunks: Iterator[bytes], stored: Path | None) -> Fetched:
        """Check and decompress *chunks*, which are in the file *stored* as well (if any)."""
        wanted = self._expected.digest.algorithm
        transfer = Hashes({wanted} if self._expected.covers is not Covers.CONTENT else set())
        content = Hashes({Algorithm.SHA256, wanted})
        head, whole = peek(chunks)
        kind = find_compression(head)
        path = self._target
        if kind is Compression.NONE and stored is not None:
            path = stored
            for piece in whole:
                content.update(piece)
        elif kind is Compression.NONE:
            write_stream(path, hash_along(whole, content))
        else:
            raw = hash_along(whole, transfer)
            try:
                with closing(run_ahead(decompress(kind, raw))) as pieces:
                    write_stream(path, hash_along(pieces, content))
            except TemplateError as error:
                self._explain(error, raw, transfer)
        self._check(kind, transfer, content)
        return Fetched(path=path, digest=str(content.get(Algorithm.SHA256)))

    def _explain(self, error: TemplateError, raw: Iterator[bytes], transfer: Hashes) -> NoReturn:
        """Say of a file that cannot be decompressed how its digest differs, where that is known."""
        expected = self._expected
        if expected.covers is Covers.TRANSFER:
            for _ in raw:
                pass
            found = transfer.get(expected.digest.algorithm)
            check_digest(self._url, expected, {Covers.TRANSFER: found})
        message = f"{self._url} is damaged, so it cannot have the digest {expected.digest}"
        raise TemplateError(f"{message}: {error.message}", hint=error.hint) from error

    def _check(self, kind: Compression, transfer: Hashes, content: Hashes) -> None:
        wanted, covers = self._expected.digest.algorithm, self._expected.covers
        found: dict[Covers, Digest] = {}
        if kind is Compression.NONE:
            found[covers] = content.get(wanted)
        else:
            if covers is not Covers.CONTENT:
                found[Covers.TRANSFER] = transfer.get(wanted)
            if covers is not Covers.TRANSFER:
                found[Covers.CONTENT] = content.get(wanted)
        check_digest(self._url, self._expected, found)


class _Worker:
    """A thread whose outcome is kept."""

    def __init__(
        self, work: Callable[[], Fetched], on_error: Callable[[BaseException], None]
    ) -> None:
        self.result: Fetched | None = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.result = work()
            except BaseException as error:  # noqa: BLE001 - raised by who waits
                self.error = error
                on_error(error)

        self._thread = threading.Thread(target=run, name="lago-fetch", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join()


class _Meter:
    """Tells how far a transfer has come, and how fast it was lately."""

    def __init__(self, tell: Callable[[int, int | None, float], None]) -> None:
        self._tell = tell
        self._told = 0.0
        self._marks: list[tuple[float, int]] = []

    def update(self, done: int, total: int | None) -> None:
        """Take note of *done* bytes."""
        now = time.monotonic()
        if now - self._told < _TELL_SECONDS and done != total:
            return
        self._told = now
        self._marks = [*self._marks[-25:], (now, done)]
        since, before = self._marks[0]
        rate = (done - before) / (now - since) if now > since else 0.0
        self._tell(done, total, max(rate, 0.0))


class _Metered:
    """A sink that tells how far it has come."""

    def __init__(self, partial: Partial, meter: _Meter) -> None:
        self._partial = partial
        self._meter = meter

    @property
    def done(self) -> int:
        return self._partial.done

    @property
    def validator(self) -> str | None:
        return self._partial.validator

    def begin(self, offset: int, size: int | None, validator: str | None) -> None:
        self._partial.begin(offset, size, validator)

    def write(self, data: bytes) -> None:
        self._partial.write(data)
        self._meter.update(self._partial.done, self._partial.size)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _follow(chunks: Iterator[bytes], meter: _Meter, total: int) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        meter.update(done, total)
        yield chunk
