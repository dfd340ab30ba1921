"""The catalogue: cloud images that vendors publish, by name; data in YAML files.

The one that comes with the library is ``catalogue.yaml`` beside this module. Files of the same
form can be added; their entries win. See ``docs/templates.md`` for the form.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from lago_sdk.errors import TemplateError, TemplateNotFoundError, suggest
from lago_sdk.events import Note
from lago_sdk.templates.checksums import find_checksum
from lago_sdk.templates.digests import Covers, Digest, Expected, parse_digest
from lago_sdk.templates.locations import show, to_url
from lago_sdk.templates.names import check_name
from lago_sdk.templates.signatures import Verdict, check_signature
from lago_sdk.templates.source import ORIGIN, Published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.templates.locations import Locations

_BUNDLED = "catalogue.yaml"
_VERSION_DIGITS = 12
_FIRMWARE = ("bios", "efi")


@attrs.frozen(kw_only=True)
class Signature:
    """How a vendor signs a checksum file."""

    url: str | None
    """The detached signature; ``None`` where the checksum file carries it itself."""
    keys: tuple[str, ...]
    """Fingerprints of the vendor's keys."""
    keyrings: tuple[str, ...] = ()
    """Files in which distributions keep these keys."""


@attrs.frozen(kw_only=True)
class CatalogueEntry:
    """An image that a vendor publishes."""

    name: str
    title: str
    """For people: ``Debian 12 (bookworm)``."""
    distro: str
    arches: Mapping[str, str]
    """Architectures, as ``uname -m`` calls them, and what the vendor calls each."""
    url: str
    """The image; ``{arch}`` is the vendor's word for the architecture."""
    checksums: str | None
    """URL of the file with its checksum."""
    digest: Digest | None
    """Its digest, where no file of checksums is published that can be trusted."""
    covers: Covers
    signature: Signature | None
    user: str
    """Who can log in."""
    firmware: tuple[str, ...]
    """What it boots with: ``bios``, ``efi`` or both."""
    memory: int
    """MiB that it needs at least."""
    cloud_init: bool
    guest_agent: bool
    """Whether the QEMU guest agent is in."""
    origin: str
    """The file it stands in."""

    def offer(
        self, *, version: str | None = None, mirror: str | None = None, arch: str | None = None
    ) -> CatalogueOffer:
        """Return the offer of this image.

        Args:
            version: Take it only if this version is the current one.
            mirror: URL below which the vendors' files are mirrored.
            arch: Architecture; that of this machine when ``None``.

        Raises:
            TemplateNotFoundError: The vendor has none for the architecture.
        """
        arch = arch or platform.machine()
        if arch not in self.arches:
            raise TemplateNotFoundError(
                f"the catalogue has no {self.name!r} for {arch}",
                hint=f"there is: {', '.join(self.arches)}",
            )
        return CatalogueOffer(entry=self, arch=arch, wanted=version, mirror=mirror)


@attrs.frozen(kw_only=True)
class CatalogueOffer:
    """An image of the catalogue for one architecture; an offer.

    Vendors replace an image by a newer one under the same URL, so its version is the beginning
    of the digest that is published now.
    """

    entry: CatalogueEntry
    arch: str
    wanted: str | None = None
    mirror: str | None = None

    @property
    def name(self) -> str:
        """The template."""
        return self.entry.name

    @property
    def version(self) -> str | None:
        """The version, when one was asked for."""
        return self.wanted

    @property
    def url(self) -> str:
        """Where the image is."""
        return self._place(self.entry.url)

    def look(self, locations: Locations, observer: Observer) -> Published:
        """See :meth:`lago_sdk.templates.source.Offer.look`."""
        expected = self._find_digest(locations, observer)
        version = expected.digest.value[:_VERSION_DIGITS]
        if self.wanted not in {None, version}:
            raise TemplateNotFoundError(
                f"version {self.wanted!r} of {self.name!r} is not published any more",
                hint=f"the vendor has {version}",
            )
        entry = self.entry
        origin = {"kind": "catalogue", "url": self.url, "digest": str(expected.digest)}
        return Published(
            name=entry.name,
            version=version,
            url=self.url,
            timestamp=None,
            expected=expected,
            metadata={
                "distro": entry.distro,
                "arch": self.arch,
                "ssh-user": entry.user,
                "firmware": list(entry.firmware),
                "memory": entry.memory,
                "cloud-init": entry.cloud_init,
                "guest-agent": entry.guest_agent,
                ORIGIN: origin,
            },
        )

    def _find_digest(self, locations: Locations, observer: Observer) -> Expected:
        entry = self.entry
        if entry.checksums is None:
            assert entry.digest is not None
            return Expected(digest=entry.digest, covers=entry.covers, source=show(entry.origin))
        url = self._place(entry.checksums)
        text = self._check_signature(url, locations.get_text(url), locations, observer)
        name = urlsplit(self.url).path.rpartition("/")[2]
        digest = find_checksum(text, name)
        if digest is None:
            raise TemplateError(
                f"{show(url)} has no SHA-256 or SHA-512 of {name}",
                hint="the vendor may have moved it: see 'Catalogue' in docs/templates.md",
            )
        return Expected(digest=digest, covers=entry.covers, source=show(url))

    def _check_signature(
        self, url: str, text: str, locations: Locations, observer: Observer
    ) -> str:
        """Return the part of *text* that is signed, or all of it after saying why."""
        signature = self.entry.signature
        if signature is None:
            return text
        detached: bytes | None = None
        if signature.url is not None:
            place = self._place(signature.url)
            detached = locations.find_bytes(place)
            if detached is None:
                raise TemplateError(
                    f"{show(url)} should be signed, but there is no {show(place)}",
                    hint="the vendor may have moved it: see 'Catalogue' in docs/templates.md",
                )
        checked = check_signature(
            text, detached, keys=signature.keys, keyrings=signature.keyrings, source=show(url)
        )
        if checked.verdict is Verdict.GOOD:
            observer(Note(message=f"the checksums of {self.name} are signed by the vendor"))
        else:
            message = f"the signature of {show(url)} is not checked: {checked.verdict.value}"
            if checked.verdict is Verdict.NO_KEY:
                message += f" {signature.keys[0]}"
            observer(Note(message=message))
        return checked.text

    def _place(self, url: str) -> str:
        placed = url.replace("{arch}", self.entry.arches[self.arch]).replace("{machine}", self.arch)
        if self.mirror is None or not placed.startswith(("http://", "https://")):
            return placed
        return f"{self.mirror.rstrip('/')}/{placed.partition('://')[2]}"


@attrs.frozen(kw_only=True)
class Catalogue:
    """The images that vendors publish, by name."""

    entries: Mapping[str, CatalogueEntry]

    def find(self, name: str) -> CatalogueEntry | None:
        """Return the entry *name*, or ``None``."""
        return self.entries.get(name)


def load_catalogue(config: Config, locations: Locations, observer: Observer) -> Catalogue:
    """Return the entries of all catalogues of the settings, of each name the one that wins.

    ``catalogue_path`` wins over ``*.yaml`` in ``template_repos``, which win over our own.

    Raises:
        TemplateError: One cannot be read, or is wrong; says where. In the directory a file that
            is no catalogue is passed over with a warning.
    """
    bundled = files("lago_sdk.templates").joinpath(_BUNDLED).read_text()
    entries = dict(parse_catalogue(bundled, _BUNDLED))
    for path in sorted(config.template_repos.glob("*.y*ml")):
        try:
            entries.update(parse_catalogue(_read(path), str(path)))
        except TemplateError as error:
            observer(Note(message=str(error), warning=True))
    for place in reversed(config.catalogue_path):
        url = to_url(place)
        entries.update(parse_catalogue(locations.get_text(url), url))
    return Catalogue(entries=dict(sorted(entries.items())))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise TemplateError(f"cannot read {path}: {error}") from error


def parse_catalogue(text: str, origin: str) -> Mapping[str, CatalogueEntry]:
    """Read a catalogue, in YAML or JSON.

    Args:
        text: Its text.
        origin: Its URL or path.

    Raises:
        TemplateError: It is wrong; says where.
    """
    from lago_sdk.codec.document import parse_document
    from lago_sdk.codec.values import BadValue, to_free_form

    document = parse_document(text)
    for problem in document.problems:
        place = f"{show(origin)}:{problem.line}" if problem.line else show(origin)
        raise TemplateError(f"{place}: {problem.message}", hint=problem.hint)
    try:
        values = to_free_form(document.value)
    except BadValue as error:
        raise TemplateError(f"{show(origin)}: {error.message}", hint=error.hint) from None
    if not isinstance(values, dict):
        raise TemplateError(
            f"{show(origin)} is no catalogue: expected a map of names",
            hint="see docs/templates.md for its form",
        )
    return {
        name: _parse_entry(name, value, origin)
        for name, value in values.items()
        if not name.startswith("x-")
    }


def _parse_entry(name: str, value: object, origin: str) -> CatalogueEntry:
    reader = _Reader(check_name(name), value, origin)
    entry = CatalogueEntry(
        name=name,
        title=reader.take("title", _text, default=name),
        distro=reader.take("distro", _text, default=name.partition("-")[0]),
        arches=reader.take("arches", _words_by_name),
        url=reader.take("url", _text),
        checksums=reader.take("checksums", _text, default=None),
        digest=reader.take("digest", _digest, default=None),
        covers=reader.take("digest-of", _covers, default=Covers.TRANSFER),
        signature=reader.take("signature", partial(_signature, name, origin), default=None),
        user=reader.take("user", _text),
        firmware=reader.take("firmware", _firmware, default=("bios",)),
        memory=reader.take("memory", _mebibytes, default=512),
        cloud_init=reader.take("cloud-init", _truth, default=True),
        guest_agent=reader.take("guest-agent", _truth, default=False),
        origin=origin,
    )
    reader.end()
    if (entry.checksums is None) == (entry.digest is None):
        raise reader.fail("checksums", "this or 'digest', one of the two")
    return entry


class _Reader:
    """Takes the values of an entry, each once."""

    def __init__(self, name: str, value: object, origin: str) -> None:
        self._name = name
        self._origin = origin
        self._known: list[str] = []
        if not isinstance(value, dict):
            raise self.fail("", "a map")
        self._values: dict[str, Any] = dict(value)

    def fail(self, key: str, expected: str) -> TemplateError:
        place = f"{self._name}.{key}" if key else self._name
        return TemplateError(
            f"{show(self._origin)}: {place}: expected {expected}",
            hint="see docs/templates.md for the form of a catalogue",
        )

    def take(self, key: str, parse: Callable[[Any], Any], **default: object) -> Any:
        self._known.append(key)
        if key not in self._values:
            if "default" in default:
                return default["default"]
            raise self.fail(key, "a value")
        try:
            return parse(self._values.pop(key))
        except ValueError as error:
            raise self.fail(key, str(error)) from None

    def end(self) -> None:
        for key in self._values:
            raise TemplateError(
                f"{show(self._origin)}: {self._name}: there is no key {key!r}",
                hint=suggest(str(key), self._known),
            )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of texts")
    return tuple(_text(item) for item in value)


def _words_by_name(value: object) -> Mapping[str, str]:
    if isinstance(value, list):
        return {_text(item): item for item in value}
    if not isinstance(value, dict) or not value:
        raise ValueError("a list of architectures, or a map of the vendor's words for each")
    return {_text(key): _text(item) for key, item in value.items()}


def _digest(value: object) -> Digest:
    digest = parse_digest(_text(value))
    if digest is None:
        raise ValueError("sha256: or sha512: and hex digits")
    return digest


def _covers(value: object) -> Covers:
    try:
        return Covers(value)
    except ValueError:
        raise ValueError("'transfer' or 'content'") from None


def _signature(name: str, origin: str, value: object) -> Signature:
    reader = _Reader(f"{name}.signature", value, origin)
    signature = Signature(
        url=reader.take("url", _text, default=None),
        keys=reader.take("keys", _texts),
        keyrings=reader.take("keyrings", _texts, default=()),
    )
    reader.end()
    return signature


def _firmware(value: object) -> tuple[str, ...]:
    found = _texts(value)
    if not found or not set(found) <= set(_FIRMWARE):
        raise ValueError("a list of 'bios' and 'efi'")
    return found


def _mebibytes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("a number of MiB")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value
