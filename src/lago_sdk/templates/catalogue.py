"""Cloud images that vendors publish: what is known of each, and how it is found and trusted."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from lago_sdk.errors import TemplateError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.templates.checksums import find_checksum
from lago_sdk.templates.digests import Covers, Digest, Expected
from lago_sdk.templates.locations import show
from lago_sdk.templates.signatures import Verdict, check_signature
from lago_sdk.templates.source import ORIGIN, Published

if TYPE_CHECKING:
    from lago_sdk.events import Observer
    from lago_sdk.templates.locations import Locations

_VERSION_DIGITS = 12


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
