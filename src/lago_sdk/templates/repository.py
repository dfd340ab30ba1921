"""Template repositories in Lago's JSON format.

::

    {"name": "lab",
     "sources": {"here": {"type": "file", "args": {"root": "~/images"}},
                 "web": {"type": "http", "args": {"baseurl": "https://images.example/"}}},
     "templates": {"el9": {"versions": {"2": {"source": "web", "handle": "el9.qcow2",
                                              "timestamp": 1700000000}}}}}

Beside an image ``el9.qcow2``, which may be there as ``el9.qcow2.xz``, ``.zst`` or ``.gz``, lie
``el9.qcow2.hash``, its digest, and ``el9.qcow2.metadata``, a JSON map of facts. A version may
carry both itself, as ``digest`` (``sha256:…``) and ``metadata``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.errors import TemplateError, TemplateNotFoundError, suggest
from lago_sdk.events import Note
from lago_sdk.templates.decompress import Compression
from lago_sdk.templates.digests import Algorithm, Covers, Expected, parse_digest
from lago_sdk.templates.locations import join_directory, show, to_url
from lago_sdk.templates.source import ORIGIN, Published
from lago_sdk.templates.store import check_name

if TYPE_CHECKING:
    from typing import Self

    from lago_sdk.events import Observer
    from lago_sdk.templates.locations import Locations

_ROOTS = {"file": "root", "http": "baseurl"}
"""Kinds of sources, and the argument that says where each is."""
_COMPRESSED = (Compression.XZ, Compression.ZSTD, Compression.GZIP)


@attrs.frozen(kw_only=True)
class RepositoryVersion:
    """A version of a template, as a repository lists it; an offer."""

    repository: str
    location: str
    """URL of the repository's file."""
    name: str
    version: str
    timestamp: float
    url: str
    """The image, uncompressed; what is there may have ``.xz``, ``.zst`` or ``.gz`` after it."""
    digest: str | None = None
    metadata: Mapping[str, object] = attrs.field(factory=dict)

    def look(self, locations: Locations, observer: Observer) -> Published:
        """See :meth:`lago_sdk.templates.source.Offer.look`."""
        url = self._find_image(locations)
        expected = self._find_digest(url, locations)
        if expected.digest.algorithm is Algorithm.SHA1:
            text = f"the template {self.name!r} is only checked by SHA-1, which shows damage but"
            hint = f"forgeries are not found: publish a SHA-256 digest in {expected.source}"
            observer(Note(message=f"{text} {hint}", warning=True))
        origin = {
            "kind": "repository",
            "repository": self.repository,
            "location": self.location,
            "url": url,
            "digest": str(expected.digest),
        }
        return Published(
            name=self.name,
            version=self.version,
            url=url,
            timestamp=self.timestamp,
            expected=expected,
            metadata={**self._find_metadata(url, locations), **self.metadata, ORIGIN: origin},
        )

    def _find_image(self, locations: Locations) -> str:
        names = [self.url]
        if not self.url.endswith(tuple(kind.value for kind in _COMPRESSED)):
            names = [*(self.url + kind.value for kind in _COMPRESSED), self.url]
        for url in names:
            if locations.exists(url):
                return url
        ends = ", ".join(kind.value for kind in _COMPRESSED)
        tried = f" (nor with {ends})" if len(names) > 1 else ""
        raise TemplateError(
            f"the repository {self.repository!r} lists {self.name!r}, version {self.version!r}, "
            f"but there is no {show(self.url)}{tried}",
            hint="ask whoever keeps the repository",
        )

    def _find_digest(self, url: str, locations: Locations) -> Expected:
        if self.digest is not None:
            source, text = show(self.location), self.digest
            covers = Covers.EITHER
        else:
            source, text = self._find_sidecar(url, "hash", locations)
            # Lago meant the content, wherever it found the file; people mean what they hash.
            covers = Covers.CONTENT if source == f"{show(self.url)}.hash" else Covers.EITHER
        words = text.split()
        digest = parse_digest(words[0]) if words else None
        if digest is None:
            raise TemplateError(
                f"{source or show(self.url)} has no digest of the template {self.name!r}"
                if source
                else f"there is no digest of the template {self.name!r}: no {show(self.url)}.hash",
                hint="write one with sha256sum; templates are checked before they are used",
            )
        return Expected(digest=digest, covers=covers, source=source)

    def _find_sidecar(self, url: str, kind: str, locations: Locations) -> tuple[str, str]:
        for candidate in dict.fromkeys([f"{url}.{kind}", f"{self.url}.{kind}"]):
            text = locations.find_text(candidate)
            if text is not None:
                return show(candidate), text
        return "", ""

    def _find_metadata(self, url: str, locations: Locations) -> dict[str, object]:
        source, text = self._find_sidecar(url, "metadata", locations)
        if not source:
            return {}
        found = _parse_json(text, source)
        if not isinstance(found, dict):
            raise TemplateError(f"{source} is no map of facts", hint="it is a JSON object")
        return found


@attrs.frozen(kw_only=True)
class TemplateRepository:
    """The templates that somebody publishes."""

    name: str
    location: str
    """URL of its file."""
    versions: Mapping[str, tuple[RepositoryVersion, ...]]
    """By template, of each the newest first."""

    @classmethod
    def load(cls, location: str, locations: Locations) -> Self:
        """Read the repository at a path or URL.

        Raises:
            TemplateError: It cannot be read, or is no repository.
        """
        url = to_url(location)
        return cls.parse(locations.get_text(url), url)

    @classmethod
    def parse(cls, text: str, location: str) -> Self:
        """Read a repository's *text*, which stands at the URL *location*.

        Raises:
            TemplateError: It is no repository; says where.
        """
        reader = _Reader(show(location))
        root = reader.map(_parse_json(text, show(location)), "")
        sources = reader.map(root.get("sources", {}), "sources")
        name = reader.text(root.get("name"), "name")
        templates = reader.map(root.get("templates"), "templates")
        return cls(
            name=name,
            location=location,
            versions={
                template: _parse_versions(reader, name, location, sources, template, value)
                for template, value in templates.items()
            },
        )

    def find(self, name: str, version: str | None = None) -> RepositoryVersion | None:
        """Return a version of a template, the newest when ``None``, or ``None``."""
        for found in self.versions.get(name, ()):
            if version in {None, found.version}:
                return found
        return None

    def get(self, name: str, version: str | None = None) -> RepositoryVersion:
        """Return a version of a template, the newest when ``None``.

        Raises:
            TemplateNotFoundError: There is none; the hint names those there are.
        """
        found = self.find(name, version)
        if found is not None:
            return found
        known = self.versions.get(name)
        what = f"template {name!r}" if known is None else f"version {version!r} of {name!r}"
        hint = suggest(name, self.versions) if known is None else None
        if known is not None:
            hint = suggest(version or "", [item.version for item in known])
        raise TemplateNotFoundError(f"the repository {self.name!r} has no {what}", hint=hint)


class _Reader:
    """Takes values out of a document, and says where one is wrong."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fail(self, path: str, expected: str) -> TemplateError:
        place = f" at {path}" if path else ""
        return TemplateError(
            f"{self._source} is no template repository: expected {expected}{place}",
            hint="see docs/templates.md for its format",
        )

    def map(self, value: object, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(path, "a map")
        return value

    def text(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.fail(path, "text")
        return value

    def number(self, value: object, path: str) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise self.fail(path, "a number") from None


def _parse_versions(
    reader: _Reader,
    repository: str,
    location: str,
    sources: Mapping[str, Any],
    name: str,
    value: object,
) -> tuple[RepositoryVersion, ...]:
    check_name(name)
    path = f"templates.{name}"
    versions = reader.map(reader.map(value, path).get("versions"), f"{path}.versions")
    found = []
    for version, item in versions.items():
        place = f"{path}.versions.{version}"
        entry = reader.map(item, place)
        digest = entry.get("digest")
        found.append(
            RepositoryVersion(
                repository=repository,
                location=location,
                name=name,
                version=check_name(version),
                timestamp=reader.number(entry.get("timestamp"), f"{place}.timestamp"),
                url=_locate(reader, location, sources, entry, place),
                digest=None if digest is None else reader.text(digest, f"{place}.digest"),
                metadata=reader.map(entry.get("metadata", {}), f"{place}.metadata"),
            )
        )
    return tuple(sorted(found, key=lambda item: -item.timestamp))


def _locate(
    reader: _Reader,
    location: str,
    sources: Mapping[str, Any],
    entry: Mapping[str, Any],
    place: str,
) -> str:
    name = reader.text(entry.get("source"), f"{place}.source")
    if name not in sources:
        raise reader.fail(f"{place}.source", f"one of the sources ({', '.join(sources) or 'none'})")
    source = reader.map(sources[name], f"sources.{name}")
    kind = reader.text(source.get("type"), f"sources.{name}.type")
    if kind not in _ROOTS:
        raise reader.fail(f"sources.{name}.type", "'file' or 'http'")
    key = _ROOTS[kind]
    arguments = reader.map(source.get("args"), f"sources.{name}.args")
    base = reader.text(arguments.get(key), f"sources.{name}.args.{key}")
    handle = reader.text(entry.get("handle"), f"{place}.handle")
    beside = "file:///" if kind == "file" and not location.startswith("file:") else location
    return join_directory(base, handle, beside=beside)


def _parse_json(text: str, source: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TemplateError(
            f"{source} is not valid JSON: {error}", hint="check the path or URL"
        ) from None
