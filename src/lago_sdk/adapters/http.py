"""Downloads over HTTP: time limits, tries with back-off, and resumption where one broke off.

Source of the rules of resumption: RFC 9110, sections 13.1.5 (``If-Range``), 14.4
(``Content-Range``) and 15.3.7 (206). Proxies are those of the environment (``https_proxy``,
``no_proxy``), as httpx reads them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import attrs

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    Progress = Callable[[int, int | None], None]

_Answer = TypeVar("_Answer")
_CHUNK = 1 << 18
_ABSENT = {403, 404, 410}
"""What servers say of a file that is not there; object stores say 403."""
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""What a server says that may be well again soon."""
_LONGEST_PAUSE = 30.0
_SLOWEST = 256
"""Bytes a second, over the longest silence, below which a transfer counts as standing still."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@attrs.frozen(kw_only=True)
class Limits:
    """How patient a download is."""

    connect: float = 15.0
    """Seconds that a connection may take."""
    silence: float = 60.0
    """Seconds that a server may stay silent, also in the middle."""
    attempts: int = 5
    """Tries in a row that bring nothing new."""
    backoff: float = 0.5
    """Seconds before the second try; doubled before each further one, up to 30."""


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
        _check_status(url, response)
        return True

    return _persist(url, limits or Limits(), ask)


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
            _check_status(url, response)
            if url.startswith("https:") and response.url.scheme != "https":
                message = f"cannot trust {url}: it leads to {response.url}, which is not encrypted"
                raise LagoError(message, hint="ask for it where it is served encrypted")
            content = bytearray()
            for chunk in response.iter_bytes(_CHUNK):
                content += chunk
                if len(content) > limit:
                    raise LagoError(f"{url} is larger than {limit} bytes", hint="check the URL")
            return bytes(content)

    return _persist(url, limits or Limits(), ask)


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

    _persist(url, limits, attempt, reached=lambda: sink.done, note=note)


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
            raise _PassingError(f"{url} is shorter than what was fetched of it")
        _check_status(url, response)
        offset, size = _read_place(response)
        if offset not in {0, sink.done}:
            raise LagoError(f"cannot download {url}: the server sent another part than asked for")
        sink.begin(offset, size, _find_validator(response))
        watch = _Watch(limits.silence)
        for chunk in response.iter_raw():  # pieces of a size we chose would be lost when it breaks
            sink.write(chunk)
            watch.check(url, len(chunk))
    if size is not None and sink.done != size:
        raise _PassingError(f"the server ended after {sink.done} of {size} bytes")


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
                raise _PassingError(f"cannot download {url}: the server is too slow: {message}")
            self._since += passed
            self._count = 0


class _PassingError(Exception):
    """Something that another try may mend."""

    def __init__(self, message: str, *, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause
        """Seconds that the server asks for."""


def _check_status(url: str, response: httpx.Response) -> None:
    code = response.status_code
    if code in {200, 206}:
        return
    told = f"the server says {code} {response.reason_phrase}".strip()
    if code in _PASSING:
        asked = response.headers.get("retry-after", "")
        raise _PassingError(told, pause=float(asked) if asked.isdigit() else 0.0)
    raise LagoError(f"cannot download {url}: {told}", hint="check the URL")


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


def _persist(
    url: str,
    limits: Limits,
    attempt: Callable[[httpx.Client], _Answer],
    *,
    reached: Callable[[], int] = lambda: 0,
    note: Callable[[str], None] = lambda _: None,
) -> _Answer:
    """Call *attempt* until it ends, or *limits* says that it never will."""
    failures, best = 0, reached()
    while True:
        try:
            with _client(url, limits) as client:
                return attempt(client)
        except _PassingError as error:
            reason, asked = str(error), error.pause
        failures = 0 if reached() > best else failures + 1
        best = max(best, reached())
        if failures >= limits.attempts:
            hint = "try again, or check the network and http_proxy"
            done = f" after {reached()} bytes" if reached() else ""
            raise LagoError(f"cannot download {url}: {reason}{done}", hint=hint)
        pause = min(_LONGEST_PAUSE, max(asked, limits.backoff * 2 ** max(failures - 1, 0)))
        note(f"trying {url} again in {pause:.1f} s: {reason}")
        time.sleep(pause)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return the trusted authorities: reading them takes longer than a small download."""
    import httpx

    return httpx.create_ssl_context()


@contextlib.contextmanager
def _client(url: str, limits: Limits) -> Iterator[httpx.Client]:
    """Open a client whose errors are ours."""
    import httpx

    timeouts = httpx.Timeout(limits.silence, connect=limits.connect)
    headers = {"Accept-Encoding": "identity", "User-Agent": "lago_sdk"}
    try:
        with httpx.Client(
            follow_redirects=True, timeout=timeouts, headers=headers, verify=_tls_context()
        ) as client:
            yield client
    except httpx.ConnectTimeout as error:
        raise _PassingError(f"no connection within {limits.connect:g} s") from error
    except httpx.TimeoutException as error:
        raise _PassingError(f"no answer for {limits.silence:g} s") from error
    except httpx.TooManyRedirects as error:
        message = f"cannot download {url}: the server redirects in a circle"
        raise LagoError(message, hint="check the URL") from error
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(
            error, (httpx.UnsupportedProtocol, httpx.ProxyError)
        ):
            raise LagoError(f"cannot download {url}: {error}", hint="check the URL") from error
        raise _PassingError(str(error) or type(error).__name__) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LagoError(f"cannot download {url}: {error}", hint="check the URL") from error
