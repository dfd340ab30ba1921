"""Fetch a template into the store: found, downloaded, checked and decompressed, once for all."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import remove_tree
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError, TemplateError
from lago_sdk.events import Progress, ignore, stage
from lago_sdk.templates.locations import Locations, show
from lago_sdk.templates.names import find_layer_reference, split_reference
from lago_sdk.templates.recipes import RECIPES
from lago_sdk.templates.sources import get_offer
from lago_sdk.templates.store import TemplateStore
from lago_sdk.templates.transfer import Transfer

if TYPE_CHECKING:
    from pathlib import Path

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Image
    from lago_sdk.templates.source import Published
    from lago_sdk.templates.store import Shelf, Template
    from lago_sdk.templates.transfer import Fetched

_STAGE = "fetch template"


def fetch_template(
    name: str, version: str | None = None, *, config: Config, observer: Observer = ignore
) -> Template:
    """Fetch a template from a repository or the catalogue into the store, unless it is there.

    Processes that want the same template at the same time fetch it once; those that wait are
    told how far the first one is. A download that broke off is taken up where it ended. A layer
    whose backing file is called ``name:version``, as Lago exported them, is put on that
    template, which is fetched where the store lacks it.

    Args:
        name: The template.
        version: Its version; the newest one published when ``None``.
        config: Settings: the store, the repositories, the catalogue, patience with servers.
        observer: Told of the stages, the progress and what is worth knowing.

    Raises:
        TemplateNotFoundError: Nobody offers it; the hint names what comes close.
        TemplateError: It cannot be had, is damaged, or the store cannot be written.
    """
    return _fetch_below((), name, version, config=config, observer=observer)


def _fetch_below(
    above: tuple[str, ...],
    name: str,
    version: str | None,
    *,
    config: Config,
    observer: Observer,
) -> Template:
    """Fetch a template and what it is made on; *above* are those that are made on it."""
    store = TemplateStore(config.template_store)
    locations = Locations.of(config)
    offer = get_offer(name, version, config=config, locations=locations, observer=observer)
    if offer.version is not None:
        found = store.find_template(name, offer.version)
        if found is not None:
            return found
    published = offer.look(locations, observer)
    while True:
        found = store.find_template(name, published.version)
        if found is not None:
            return found
        with store.locked(name, observer) as shelf:
            found = store.find_template(name, published.version)
            outcome = found or _fetch(published, shelf, store, locations)
        if not isinstance(outcome, _Missing):
            return outcome
        # Not under the lock: it may be of the same name, or be waited for by who waits for us.
        reference = outcome.reference
        chain = (*above, f"{name}:{published.version}")
        if reference in chain:
            raise TemplateError(f"templates are made on each other: {' on '.join(chain)}")
        try:
            _fetch_below(chain, *split_reference(reference), config=config, observer=observer)
        except TemplateError as error:
            message = f"{chain[-1]} is made on {reference}, which cannot be had: {error.message}"
            raise type(error)(message, hint=error.hint) from error


class FetchedTemplates:
    """The templates of the store, and what it lacks is fetched; implements the port ``Templates``.

    Args:
        store: The store of *config*.
        config: Settings: the repositories, the catalogue, patience with servers.
        observer: Told of what is fetched.
    """

    def __init__(self, store: TemplateStore, *, config: Config, observer: Observer) -> None:
        self._store = store
        self._config = config
        self._observer = observer

    def find(self, name: str, version: str | None = None) -> Image | None:
        """Return the image of a template that is in the store, or ``None``."""
        return self._store.find(name, version)

    def identify(self, path: Path) -> str | None:
        """Return ``name:version`` of the template whose image is the file *path*, or ``None``."""
        return self._store.identify(path)

    def get(self, name: str, version: str | None = None) -> Image:
        """Return the image of a template, fetched where it is not in the store.

        Raises:
            TemplateNotFoundError: Neither the store nor anybody else has it.
            TemplateError: It cannot be fetched, or is damaged.
        """
        found = self._store.find(name, version)
        if found is not None:
            return found
        try:
            fetched = fetch_template(name, version, config=self._config, observer=self._observer)
        except TemplateError as error:
            if name not in RECIPES:
                raise
            hint = f"or make it: lagoctl template build {name}"
            raise type(error)(error.message, hint=hint) from error
        return fetched.image


@attrs.frozen
class _Missing:
    """What a template is made on, and has to be fetched first."""

    reference: str


def _fetch(
    published: Published, shelf: Shelf, store: TemplateStore, locations: Locations
) -> Template | _Missing:
    observer, name = shelf.observer, published.name

    def tell(done: int, total: int | None, rate: float) -> None:
        observer(Progress(stage=_STAGE, subject=name, done=done, total=total, rate=rate))

    # Outside the scratch directory: it shall be there for the next try.
    unfinished = store.path / ".tmp" / ".partial" / name
    try:
        with stage(observer, _STAGE, name) as running:
            fetched = Transfer(
                published.url,
                expected=published.expected,
                partial_directory=unfinished,
                target=shelf.scratch / "fetched",
                limits=locations.limits,
                observer=observer,
                progress=tell,
            ).run()
            added = _add(published, fetched, shelf, store)
            if isinstance(added, _Missing):
                running.tell(f"a layer on {added.reference}, which is fetched first")
                return added
            algorithm = published.expected.digest.algorithm.value
            source = show(published.url)
            running.tell(f"version {added.version} from {source}, {algorithm} verified")
        remove_tree(unfinished)
    except ImageError as error:
        remove_tree(unfinished)
        message = f"{show(published.url)} is no image that can be used: {error.message}"
        raise TemplateError(message, hint=error.hint) from error
    finally:
        _remove_empty(unfinished, unfinished.parent)
    return added


def _add(
    published: Published, fetched: Fetched, shelf: Shelf, store: TemplateStore
) -> Template | _Missing:
    images = QemuImg()
    path = shelf.scratch / "image"
    reference = find_layer_reference(images.find_backing_name(fetched.path) or "")
    before = fetched.path.stat().st_size
    if reference is None:
        named = shelf.scratch / f"{published.name}.download"
        images.import_image(fetched.path.rename(named), path)
    else:
        below = store.find_template(*split_reference(reference))
        if below is None:
            return _Missing(reference)
        images.import_layer(fetched.path, path, below=below.image)
    image = images.inspect(path)
    is_same = reference is None and path.stat().st_size == before
    return shelf.add(
        published.version,
        path,
        timestamp=time.time() if published.timestamp is None else published.timestamp,
        size=image.size,
        image_format=image.format,
        metadata=published.metadata,
        image_digest=fetched.digest if is_same else None,
        below=reference,
    )


def _remove_empty(*directories: Path) -> None:
    for directory in directories:
        with suppress(OSError):  # others are at it
            directory.rmdir()
