"""Files of repositories and vendors, by URL: on this machine or behind HTTP."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

import attrs

from lago_sdk.adapters import http
from lago_sdk.adapters.http_client import Limits
from lago_sdk.errors import LagoError, TemplateError

if TYPE_CHECKING:
    from lago_sdk.config import Config

_SMALL = 1 << 24
_SAFE = "/%+~=@:,;!&$()*'"


@attrs.frozen
class Locations:
    """Looks at files by URL (``file``, ``http``, ``https``).

    Args:
        limits: How patient to be with servers.
    """

    limits: Limits

    @classmethod
    def of(cls, config: Config) -> Locations:
        """Return one that is as patient as the settings say."""
        return cls(Limits(silence=config.download_timeout, attempts=config.download_attempts))

    def exists(self, url: str) -> bool:
        """Tell whether *url* can be had.

        Raises:
            TemplateError: There is no telling.
        """
        path = find_local_path(url)
        if path is not None:
            return path.is_file()
        try:
            return http.exists(url, limits=self.limits)
        except LagoError as error:
            raise translate(error) from error

    def find_bytes(self, url: str) -> bytes | None:
        """Return the content of a small file, or ``None`` where it does not exist.

        Raises:
            TemplateError: It cannot be read.
        """
        path = find_local_path(url)
        try:
            if path is None:
                return http.read_small(url, limit=_SMALL, limits=self.limits)
            return path.read_bytes() if path.is_file() else None
        except LagoError as error:
            raise translate(error) from error
        except OSError as error:
            raise TemplateError(f"cannot read {path}: {error.strerror}") from error

    def find_text(self, url: str) -> str | None:
        """Return the text of a small file, or ``None`` where it does not exist.

        Raises:
            TemplateError: It cannot be read, or is no text.
        """
        content = self.find_bytes(url)
        if content is None:
            return None
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise TemplateError(f"{url} is no text", hint="check the URL") from None

    def get_text(self, url: str) -> str:
        """Return the text of a small file.

        Raises:
            TemplateError: It does not exist, cannot be read, or is no text.
        """
        text = self.find_text(url)
        if text is None:
            raise TemplateError(f"there is no {show(url)}", hint="check the path or URL")
        return text


def translate(error: LagoError) -> TemplateError:
    """Return *error* as one that is about templates."""
    return TemplateError(error.message, hint=error.hint)


def find_local_path(url: str) -> Path | None:
    """Return the path of a ``file`` URL, or ``None`` for others."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def to_url(text: str) -> str:
    """Return a path or URL as a URL; ``~`` and variables of a path are expanded.

    Raises:
        TemplateError: It is a URL of a kind that cannot be fetched.
    """
    if "://" not in text:
        return "file://" + quote(str(Path(os.path.expandvars(text)).expanduser().absolute()))
    if urlsplit(text).scheme not in {"file", "http", "https"}:
        raise TemplateError(f"cannot fetch {text!r}", hint="file, http and https can be")
    return text


def show(url: str) -> str:
    """Return a URL for messages: that of a file is its path."""
    path = find_local_path(url)
    return str(path) if path is not None else url


def join_directory(base: str, path: str, *, beside: str) -> str:
    """Return the URL of the directory that a repository's source names.

    Args:
        base: ``baseurl`` or ``root``; relative to the repository's file.
        path: What is in it.
        beside: URL of the repository's file.

    Raises:
        TemplateError: *path* leaves the directory.
    """
    check_inside(path)
    if "://" not in base and find_local_path(beside) is not None:
        expanded = os.path.expandvars(base)
        here = find_local_path(beside)
        assert here is not None
        directory = here.parent / Path(expanded).expanduser()
        return "file://" + quote(os.path.normpath(directory / path))
    if "://" not in base:
        base = urljoin(beside, base)
    return f"{to_url(base).rstrip('/')}/{quote(path, safe=_SAFE)}"


def check_inside(path: str) -> None:
    """Check that *path* is relative and stays below where it starts.

    Raises:
        TemplateError: It does not.
    """
    plain = unquote(path)
    parts = PurePosixPath(plain).parts
    if not parts or ".." in parts or plain.startswith("/") or re.search(r"[\\\0?#\n]|://", plain):
        raise TemplateError(
            f"{path!r} cannot be the path of a template in a repository",
            hint="it is relative to the source's root or baseurl, and has no '..'",
        )
