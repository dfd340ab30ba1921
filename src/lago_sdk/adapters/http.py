"""Downloads over HTTP, resumed where one broke off.

Source of the rules of resumption: RFC 9110, sections 13.1.5 (``If-Range``), 14.4
(``Content-Range``) and 15.3.7 (206).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from lago_sdk.adapters.http_client import Limits, PassingError, check_status, persist
from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 18
_ABSENT = {403, 404, 410}
"""What servers say of a file that is not there; object stores say 403."""
_SLOWEST = 256
"""Bytes a second, over the longest silence, below which a transfer counts as standing still."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Sink(Protocol):
    """Where a download goes: it knows what it has already."""

    @property
    def done(self) -> int:
        """Bytes it has of the file's beginning."""

    @property
    def validator(self) -> str | None:
        """What the server called the file that these bytes are of; without it, no resumption."""

    def begin(self, offset: int, size: int | None, validator: str | None) -> None:
        """Take what follows from *offset*: either where it is, or 0 to forget what it has.

        Args:
            offset: Where the next bytes belong.
            size: Bytes of the whole file, where the server says.
            validator: A strong entity tag, or a date, that names this state of the file.
        """

    def write(self, data: bytes) -> None:
        """Take the next bytes."""


def download(url: str, path: Path, *, progress: Progress, limits: Limits | None = None) -> None:
    """Fetch *url* to *path*, which comes into being whole; redirects are followed.

    Args:
        url: ``http``, ``https`` or ``file``.
        path: The new file; replaced where it exists. Its directory is made.
        progress: Called now and then with the bytes done and (where known) those in all.
        limits: How patient to be.

    Raises:
        LagoError: The URL is of another kind, the server refuses, the transfer breaks off or
            stands still, or the file cannot be written. Nothing is left at *path* then.
    """
    kind = url.partition(":")[0].lower()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            if kind == "file":
                _copy(url, file)
            elif kind in {"http", "https"}:
                fetch(url, _FileSink(file, progress), limits=limits or Limits())
            else:
                message = f"cannot download {url!r}: its kind is not known"
                raise LagoError(message, hint="http, https and file are")
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)  # noqa: PTH105 - one system call, made plain
    except OSError as error:
        raise LagoError(f"cannot download {url} to {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _copy(url: str, file: BinaryIO) -> None:
    with open(unquote(urlsplit(url).path), "rb") as source:  # noqa: PTH123 - as the URL says
        shutil.copyfileobj(source, file, _CHUNK)


class _FileSink:
    """A file that is written from its beginning."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress
        self._size: int | None = None
        self.done = 0
        self.validator: str | None = None

    def begin(self, offset: int, size: int | None, validator: str | None) -> None:
        self._file.seek(offset)
        self._file.truncate()
        self.done, self._size, self.validator = offset, size, validator

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.done += len(data)
        self._progress(self.done, self._size)


def exists(url: str, *, limits: Limits | None = None) -> bool:
    """Ask whether the server has *url*, without fetching it.

    Raises:
        LagoError: The server does not answer, or says neither yes nor no.
    """

    def ask(client: httpx.Client) -> bool:
        response = client.head(url)
        if response.status_code in {405, 501}:  # a server without HEAD
            with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as streamed:
                response = streamed
        if response.status_code in _ABSENT:
            return False
        check_status(url, response)
        return True

    return persist(url, limits or Limits(), ask)


def read_small(url: str, *, limit: int = 1 << 24, limits: Limits | None = None) -> bytes | None:
    """Return the content of a small file, or ``None`` where the server has none.

    Args:
        url: ``http`` or ``https``; a redirect from the one down to the other is refused.
        limit: Bytes above which it is not small.
        limits: How patient to be.

    Raises:
        LagoError: It cannot be had, or is larger than *limit*.
    """

    def ask(client: httpx.Client) -> bytes | None:
        with client.stream("GET", url) as response:
            if response.status_code in _ABSENT:
                return None
            check_status(url, response)
            if url.startswith("https:") and response.url.scheme != "https":
                message = f"cannot trust {url}: it leads to {response.url}, which is not encrypted"
                raise LagoError(message, hint="ask for it where it is served encrypted")
            content = bytearray()
            for chunk in response.iter_bytes(_CHUNK):
                content += chunk
                if len(content) > limit:
                    raise LagoError(f"{url} is larger than {limit} bytes", hint="check the URL")
            return bytes(content)

    return persist(url, limits or Limits(), ask)


def fetch(
    url: str,
    sink: Sink,
    *,
    limits: Limits,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Fetch *url* into *sink*, from where the sink is to the end.

    The bytes are those the server stores, whatever their ``Content-Encoding``. A try that
    brought something new does not count.

    Args:
        url: ``http`` or ``https``; redirects are followed.
        sink: Takes the bytes; what it has already is not fetched again unless it has changed.
        limits: How patient to be.
        note: Told in a sentence of each further try.

    Raises:
        LagoError: The server refuses, or the transfer breaks off or stands still for good.
    """

    def attempt(client: httpx.Client) -> None:
        _fetch_rest(client, url, sink, limits)

    persist(url, limits, attempt, reached=lambda: sink.done, note=note)


def _fetch_rest(client: httpx.Client, url: str, sink: Sink, limits: Limits) -> None:
    headers = {}
    if sink.done and sink.validator is None:
        sink.begin(0, None, None)
    elif sink.done:
        headers = {"Range": f"bytes={sink.done}-", "If-Range": sink.validator or ""}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # the range begins at or after the end
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if total == str(sink.done):
                return
            sink.begin(0, None, None)
            raise PassingError(f"{url} is shorter than what was fetched of it")
        check_status(url, response)
        offset, size = _read_place(response)
        if offset not in {0, sink.done}:
            raise LagoError(f"cannot download {url}: the server sent another part than asked for")
        sink.begin(offset, size, _find_validator(response))
        watch = _Watch(limits.silence)
        for chunk in response.iter_raw():  # pieces of a size we chose would be lost when it breaks
            sink.write(chunk)
            watch.check(url, len(chunk))
    if size is not None and sink.done != size:
        raise PassingError(f"the server ended after {sink.done} of {size} bytes")


class _Watch:
    """Notices a transfer that trickles."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = time.monotonic()
        self._count = 0

    def check(self, url: str, count: int) -> None:
        self._count += count
        passed = time.monotonic() - self._since
        if passed >= self._seconds:
            if self._count < _SLOWEST * passed:
                message = f"{self._count} bytes in {passed:.0f} s"
                raise PassingError(f"cannot download {url}: the server is too slow: {message}")
            self._since += passed
            self._count = 0


def _read_place(response: httpx.Response) -> tuple[int, int | None]:
    """Return where the body begins, and the size of the whole file where it is known."""
    if response.status_code == 206:  # partial content
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None:
            return -1, None
        return int(found[1]), None if found[2] == "*" else int(found[2])
    total = response.headers.get("content-length", "")
    return 0, int(total) if total.isdigit() else None


def _find_validator(response: httpx.Response) -> str | None:
    """Return what names this state of the file: weak tags may be shared by different bytes."""
    tag: str = response.headers.get("etag", "")
    if tag.startswith('"'):
        return tag
    date: str | None = response.headers.get("last-modified")
    return date
