"""Who offers a template: the repositories of the settings, then the catalogues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import TemplateError, TemplateNotFoundError, suggest
from lago_sdk.events import Note, ignore
from lago_sdk.templates.catalogue_files import Catalogue, load_catalogue
from lago_sdk.templates.locations import Locations
from lago_sdk.templates.recipes import RECIPES
from lago_sdk.templates.repository import TemplateRepository
from lago_sdk.templates.source import ORIGIN
from lago_sdk.templates.store import TemplateStore

if TYPE_CHECKING:
    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.templates.catalogue import CatalogueEntry
    from lago_sdk.templates.source import Offer
    from lago_sdk.templates.store import Template


def list_repositories(
    config: Config, locations: Locations, observer: Observer
) -> tuple[TemplateRepository, ...]:
    """Return the repositories of the settings, in the order in which they are asked.

    Those of ``template_repo_path``; where it is not set those of the directory
    ``template_repos``, by file name, of which ``template_repo_name`` picks one.

    Raises:
        TemplateError: One that is named cannot be read, or there is none of that name. In the
            directory a file that is no repository is passed over with a warning.
    """
    if config.template_repo_path:
        return tuple(TemplateRepository.load(path, locations) for path in config.template_repo_path)
    found = []
    for path in sorted(config.template_repos.glob("*.json")):
        try:
            found.append(TemplateRepository.load(str(path), locations))
        except TemplateError as error:
            observer(Note(message=str(error), warning=True))
    name = config.template_repo_name
    if name is None:
        return tuple(found)
    chosen = tuple(repository for repository in found if repository.name == name)
    if not chosen:
        raise TemplateError(
            f"there is no template repository {name!r} in {config.template_repos}",
            hint=suggest(name, [repository.name for repository in found]),
        )
    return chosen


def get_offer(
    name: str,
    version: str | None,
    *,
    config: Config,
    locations: Locations,
    observer: Observer,
) -> Offer:
    """Return who offers a template: the first repository that has it, else the catalogue.

    Raises:
        TemplateNotFoundError: Nobody does; the hint names what comes close.
        TemplateError: A repository or catalogue cannot be read.
    """
    repositories = list_repositories(config, locations, observer)
    for repository in repositories:
        found = repository.find(name, version)
        if found is not None:
            return found
    for repository in repositories:
        if name in repository.versions:
            return repository.get(name, version)  # says which versions there are
    catalogue = load_catalogue(config, locations, observer)
    entry = catalogue.find(name)
    if entry is None:
        raise _not_found(name, repositories, catalogue)
    return entry.offer(version=version, mirror=config.catalogue_mirror)


def list_catalogue(config: Config, *, observer: Observer = ignore) -> tuple[CatalogueEntry, ...]:
    """Return what the catalogues of the settings have, by name.

    Raises:
        TemplateError: A catalogue cannot be read, or is wrong.
    """
    catalogue = load_catalogue(config, Locations.of(config), observer)
    return tuple(catalogue.entries.values())


@attrs.frozen(kw_only=True)
class OutdatedTemplate:
    """A template of the store of which something else is published now."""

    name: str
    version: str
    """The newest version in the store."""
    published: str
    """The version that is published; the same where its content has been replaced."""
    url: str
    """Where that is."""


def list_outdated(config: Config, *, observer: Observer = ignore) -> tuple[OutdatedTemplate, ...]:
    """Return the templates of which a newer version, or another content, is published.

    Only the newest version in the store of each is looked at, and only where it was fetched.
    One whose publisher cannot be asked is told as a warning.

    Raises:
        TemplateError: The store, a repository or a catalogue cannot be read.
    """
    locations = Locations.of(config)
    newest: dict[str, Template] = {}
    for template in TemplateStore(config.template_store).list():
        newest.setdefault(template.name, template)
    found = []
    for name, template in newest.items():
        origin = template.image.metadata.get(ORIGIN)
        if not isinstance(origin, dict):
            continue
        try:
            offer = get_offer(name, None, config=config, locations=locations, observer=observer)
            published = offer.look(locations, observer)
        except TemplateError as error:
            observer(Note(message=f"{name} is not checked: {error}", warning=True))
            continue
        same = str(published.expected.digest) == origin.get("digest")
        if published.version != template.version or not same:
            found.append(
                OutdatedTemplate(
                    name=name,
                    version=template.version,
                    published=published.version,
                    url=published.url,
                )
            )
    return tuple(found)


def _not_found(
    name: str, repositories: tuple[TemplateRepository, ...], catalogue: Catalogue
) -> TemplateNotFoundError:
    message = f"nobody offers a template {name!r}: neither a repository nor the catalogue"
    if name in RECIPES:
        return TemplateNotFoundError(message, hint=f"make it: lagoctl template build {name}")
    names = {known for repository in repositories for known in repository.versions}
    return TemplateNotFoundError(message, hint=suggest(name, names | set(catalogue.entries)))
