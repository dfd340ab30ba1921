"""Patience with HTTP servers: time limits, and tries with back-off.

Proxies are those of the environment (``https_proxy``, ``no_proxy``), as httpx reads them.
"""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, TypeVar

import attrs

from lago_sdk.errors import LagoError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    import httpx

_Answer = TypeVar("_Answer")
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""What a server says that may be well again soon."""
_LONGEST_PAUSE = 30.0


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


class PassingError(Exception):
    """Something that another try may mend."""

    def __init__(self, message: str, *, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause
        """Seconds that the server asks for."""


def check_status(url: str, response: httpx.Response) -> None:
    """Check that the server gives what was asked for.

    Raises:
        PassingError: It may do so soon.
        LagoError: It refuses.
    """
    code = response.status_code
    if code in {200, 206}:
        return
    told = f"the server says {code} {response.reason_phrase}".strip()
    if code in _PASSING:
        asked = response.headers.get("retry-after", "")
        raise PassingError(told, pause=float(asked) if asked.isdigit() else 0.0)
    raise LagoError(f"cannot download {url}: {told}", hint="check the URL")


def persist(
    url: str,
    limits: Limits,
    attempt: Callable[[httpx.Client], _Answer],
    *,
    reached: Callable[[], int] = lambda: 0,
    note: Callable[[str], None] = lambda _: None,
) -> _Answer:
    """Call *attempt* until it ends, or *limits* says that it never will.

    Args:
        url: What is asked for, for messages.
        limits: How patient to be.
        attempt: Does it, with the client that it is given.
        reached: Tells how far it is: a try that came further than any before does not count.
        note: Told in a sentence of each further try.

    Raises:
        LagoError: It cannot be had.
    """
    failures, best = 0, reached()
    while True:
        try:
            with _client(url, limits) as client:
                return attempt(client)
        except PassingError as error:
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
        raise PassingError(f"no connection within {limits.connect:g} s") from error
    except httpx.TimeoutException as error:
        raise PassingError(f"no answer for {limits.silence:g} s") from error
    except httpx.TooManyRedirects as error:
        message = f"cannot download {url}: the server redirects in a circle"
        raise LagoError(message, hint="check the URL") from error
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error) or isinstance(
            error, (httpx.UnsupportedProtocol, httpx.ProxyError)
        ):
            raise LagoError(f"cannot download {url}: {error}", hint="check the URL") from error
        raise PassingError(str(error) or type(error).__name__) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LagoError(f"cannot download {url}: {error}", hint="check the URL") from error
