"""Fetch a template into the store: found, downloaded, checked and decompressed, once for all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lago_sdk.adapters.files import remove_tree
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError, TemplateError
from lago_sdk.events import Progress, ignore, stage
from lago_sdk.templates.locations import Locations, show
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

_STAGE = "fetch template"


def fetch_template(
    name: str, version: str | None = None, *, config: Config, observer: Observer = ignore
) -> Template:
    """Fetch a template from a repository or the catalogue into the store, unless it is there.

    Processes that want the same template at the same time fetch it once; those that wait are
    told how far the first one is. A download that broke off is taken up where it ended.

    Args:
        name: The template.
        version: Its version; the newest one published when ``None``.
        config: Settings: the store, the repositories, the catalogue, patience with servers.
        observer: Told of the stages, the progress and what is worth knowing.

    Raises:
        TemplateNotFoundError: Nobody offers it; the hint names what comes close.
        TemplateError: It cannot be had, is damaged, or the store cannot be written.
    """
    store = TemplateStore(config.template_store)
    locations = Locations.of(config)
    offer = get_offer(name, version, config=config, locations=locations, observer=observer)
    if offer.version is not None:
        found = store.find_template(name, offer.version)
        if found is not None:
            return found
    published = offer.look(locations, observer)
    found = store.find_template(name, published.version)
    if found is not None:
        return found
    with store.locked(name, observer) as shelf:
        found = store.find_template(name, published.version)
        return found or _fetch(published, shelf, store, locations)


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


def _fetch(
    published: Published, shelf: Shelf, store: TemplateStore, locations: Locations
) -> Template:
    observer, name = shelf.observer, published.name

    def tell(done: int, total: int | None, rate: float) -> None:
        observer(Progress(stage=_STAGE, subject=name, done=done, total=total, rate=rate))

    # Outside the scratch directory: it shall be there for the next try.
    unfinished = store.path / ".tmp" / ".partial" / name
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
        template = _add(published, fetched.path, fetched.digest, shelf)
        remove_tree(unfinished)
        _remove_empty(unfinished.parent)
        algorithm = published.expected.digest.algorithm.value
        running.tell(f"version {template.version} from {show(published.url)}, {algorithm} verified")
    return template


def _add(published: Published, fetched: Path, digest: str, shelf: Shelf) -> Template:
    images = QemuImg()
    path = shelf.scratch / "image"
    try:
        before = fetched.stat().st_size
        images.import_image(fetched, path)
        image = images.inspect(path)
        unchanged = path.stat().st_size == before
    except ImageError as error:
        fetched.unlink(missing_ok=True)
        message = f"{show(published.url)} is no image that can be used: {error.message}"
        raise TemplateError(message, hint=error.hint) from error
    return shelf.add(
        published.version,
        path,
        timestamp=time.time() if published.timestamp is None else published.timestamp,
        size=image.size,
        image_format=image.format,
        metadata=published.metadata,
        image_digest=digest if unchanged else None,
    )


def _remove_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # others are at it
