"""Catalogues: cloud images that vendors publish, by name; data in YAML files.

The one that comes with the library is ``catalogue.yaml`` beside this module. Files of the same
form can be added; their entries win. See ``docs/templates.md`` for the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.errors import TemplateError, suggest
from lago_sdk.events import Note
from lago_sdk.templates.catalogue import CatalogueEntry, Signature
from lago_sdk.templates.digests import Covers, Digest, parse_digest
from lago_sdk.templates.locations import show, to_url
from lago_sdk.templates.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.templates.locations import Locations

_BUNDLED = "catalogue.yaml"
_FIRMWARE = ("bios", "efi")


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
