"""What can be done without a prefix: check, plan, build templates, look at the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.config import Config
from lago_sdk.events import ignore
from lago_sdk.spec.prefix import PrefixSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lago_sdk.adapters.hosts.findings import Finding
    from lago_sdk.adapters.plugins import InstalledPlugins
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Plan
    from lago_sdk.ports import Compression, PluginInfo
    from lago_sdk.service.checkpoints.model import Checkpoint, CheckpointGarbage
    from lago_sdk.spec.problems import Problem
    from lago_sdk.templates.archive import ExportedTemplate
    from lago_sdk.templates.catalogue import CatalogueEntry
    from lago_sdk.templates.gc import GarbageReport, TemplateInfo
    from lago_sdk.templates.sources import OutdatedTemplate
    from lago_sdk.templates.store import Template

_EXAMPLE_UUID = "0" * 32
"""Stands for the uuid that a real prefix draws."""


def check_init_file(path: str | os.PathLike[str]) -> tuple[Problem, ...]:
    """Return everything that is wrong or odd in an init file, warnings included.

    Files that it names and that are not there are problems too.
    """
    from lago_sdk.codec import check_file
    from lago_sdk.connect import local_environ
    from lago_sdk.ports import PluginKind

    installed = open_plugins()
    kinds = {
        "vm-type": PluginKind.VM_TYPE,
        "vm-provider": PluginKind.VM_PROVIDER,
        "service_provider": PluginKind.SERVICE_PROVIDER,
    }
    names = {key: installed.list_names(kind) for key, kind in kinds.items()}
    _, problems = check_file(path, environ=local_environ(), plugins=names)
    return problems


def open_plugins(
    *, config: Config | None = None, observer: Observer | None = None
) -> InstalledPlugins:
    """Return the plugins that are installed; none of them is imported yet.

    Args:
        config: Settings; its ``state_dir`` takes the tracebacks of plugins that fail. The
            defaults when ``None``.
        observer: Told of each plugin that fails, once.
    """
    from lago_sdk.connect import open_plugins as connect_plugins

    return connect_plugins(config or Config(), observer or ignore)


def list_plugins(
    *, verbs: Collection[str] = (), accept_verb: Callable[[object], object] | None = None
) -> tuple[PluginInfo, ...]:
    """Import every plugin that is installed, and tell what is wrong with it.

    Args:
        verbs: Verbs that lagoctl has itself, which no command of a plugin may be called.
        accept_verb: Raises for what no verb can be made of.
    """
    from lago_sdk.ports import PluginKind
    from lago_sdk.service.plugged.shapes import accept

    def check(kind: PluginKind, value: object) -> object:
        if kind is PluginKind.COMMAND and accept_verb is not None:
            return accept_verb(value)
        return accept(kind, value)

    return open_plugins().list_all(check, taken=verbs)


def plan_spec(
    spec: PrefixSpec | Mapping[str, object] | str | os.PathLike[str],
    *,
    uuid: str = _EXAMPLE_UUID,
    config: Config | None = None,
) -> Plan:
    """Return the plan of a spec as an empty host would carry it out; touches nothing.

    Images that VMs boot are looked into where nothing says how to prepare their guests.

    Args:
        spec: A `PrefixSpec`, a mapping of the shape of an init file, or the path of one.
        uuid: 32 hex digits that libvirt names, bridge MACs and uuids are made from.
        config: Settings, for the template store; `Config.load` when ``None``.

    Raises:
        SpecError: The spec is wrong; carries every problem.
    """
    from lago_sdk.connect import local_disks, local_environ, local_images, open_store
    from lago_sdk.plan.planner import plan_prefix
    from lago_sdk.service.making.disks import find_images
    from lago_sdk.service.making.known import learn_facts
    from lago_sdk.service.making.paths import find_path
    from lago_sdk.service.observing.remote import settle_machines

    checked = settle_machines(PrefixSpec.of(spec), open_plugins())
    images = find_images(checked, open_store(config or Config.load()), fetch=False)
    variables = {**local_environ(), "LAGO_INITFILE_PATH": checked.init_dir or "."}
    images = learn_facts(
        checked,
        images,
        images=local_images(),
        disks=local_disks(),
        resolve=lambda path: find_path(path, init_dir=checked.init_dir, variables=variables),
    )
    return plan_prefix(checked, uuid=uuid, images=images)


def build_template(
    name: str | os.PathLike[str],
    *,
    config: Config | None = None,
    observer: Observer | None = None,
    force: bool = False,
) -> Template:
    """Build a template from its recipe into the store, unless it is there.

    Args:
        name: The recipe, for example ``"tiny"``, or the path of a recipe file.
        config: Settings; `Config.load` when ``None``.
        observer: Told of the stages.
        force: Build it anew.

    Raises:
        TemplateNotFoundError: There is no such recipe; the hint names those there are.
        SpecError: The recipe file is wrong; carries every problem.
        TemplateError: It cannot be built.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.build import build_template as build

    store = open_store(config or Config.load())
    return build(name, store=store, observer=observer or ignore, force=force)


def list_templates(*, config: Config | None = None) -> tuple[Template, ...]:
    """Return the templates in the store, by name, newest version first."""
    from lago_sdk.connect import open_store

    return open_store(config or Config.load()).list()


def list_template_infos(
    name: str | None = None, *, config: Config | None = None
) -> tuple[TemplateInfo, ...]:
    """Return the templates in the store, what each takes on the disk, and whom it serves.

    Args:
        name: Only those of this name.
        config: Settings; `Config.load` when ``None``.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.gc import list_infos

    return list_infos(open_store(config or Config.load()), name)


def get_template_info(
    name: str, version: str | None = None, *, config: Config | None = None
) -> TemplateInfo:
    """Return what is known of one template in the store.

    Args:
        name: The template.
        version: Its version; the newest when ``None``.
        config: Settings; `Config.load` when ``None``.

    Raises:
        TemplateNotFoundError: It is not in the store; the hint says how to get it.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.gc import get_info

    return get_info(open_store(config or Config.load()), name, version)


def verify_template(
    name: str,
    version: str | None = None,
    *,
    config: Config | None = None,
    observer: Observer | None = None,
) -> Template:
    """Check by its digest that a template in the store still is what was added.

    Args:
        name: The template.
        version: Its version; the newest when ``None``.
        config: Settings; `Config.load` when ``None``.
        observer: Told how far the reading has come.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateError: It is damaged.
    """
    from lago_sdk.connect import open_store

    store = open_store(config or Config.load())
    return store.verify(name, version, observer=observer or ignore)


def remove_template(
    name: str, version: str | None = None, *, force: bool = False, config: Config | None = None
) -> TemplateInfo:
    """Remove one version of a template from the store; returns what it was.

    Args:
        name: The template.
        version: Its version; may be left out where there is only one.
        force: Remove it even from under prefixes and other templates, which breaks them.
        config: Settings; `Config.load` when ``None``.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateInUseError: Prefixes use it, or templates are made on it; names them.
        TemplateError: It has several versions, or the store cannot be written.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.gc import remove_template as remove

    return remove(open_store(config or Config.load()), name, version, force=force)


def gc_templates(
    *,
    older_than: float | None = None,
    max_size: int | None = None,
    is_dry: bool = False,
    config: Config | None = None,
    observer: Observer | None = None,
) -> GarbageReport:
    """Remove templates that no prefix uses, the least recently used first.

    Args:
        older_than: Remove those last used more seconds ago than that; ``None`` is no limit.
        max_size: Remove as many as bring the store down to so many bytes on the disk; ``None``
            is no limit. Without any limit only what killed processes left is removed.
        is_dry: Only say what would be removed.
        config: Settings; `Config.load` when ``None``.
        observer: Told of each removal.

    Raises:
        TemplateError: A record cannot be read, or the store cannot be written.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.gc import collect_garbage

    return collect_garbage(
        open_store(config or Config.load()),
        older_than=older_than,
        max_size=max_size,
        is_dry=is_dry,
        observer=observer or ignore,
    )


def list_checkpoints(*, config: Config | None = None) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of labs that are in the cache, the last used first.

    Args:
        config: Settings; `Config.load` when ``None``.
    """
    from lago_sdk.connect import open_checkpoints

    return open_checkpoints(config or Config.load()).list()


def get_checkpoint(key: str, *, config: Config | None = None) -> Checkpoint:
    """Return one checkpoint of the cache.

    Args:
        key: Its key, or the first digits of it.
        config: Settings; `Config.load` when ``None``.

    Raises:
        LagoError: There is none, or more than one.
    """
    from lago_sdk.connect import open_checkpoints
    from lago_sdk.service.checkpoints.gc import find_checkpoint

    return find_checkpoint(open_checkpoints(config or Config.load()), key)


def remove_checkpoint(key: str, *, config: Config | None = None) -> Checkpoint:
    """Remove a checkpoint from the cache; labs that were made of it keep what they have.

    Args:
        key: Its key, or the first digits of it.
        config: Settings; `Config.load` when ``None``.

    Raises:
        LagoError: There is none, or more than one, or the cache cannot be written.
    """
    from lago_sdk.connect import open_checkpoints
    from lago_sdk.service.checkpoints.gc import find_checkpoint

    store = open_checkpoints(config or Config.load())
    found = find_checkpoint(store, key)
    store.remove(found.key)
    return found


def gc_checkpoints(
    *,
    older_than: float | None = None,
    max_size: int | None = None,
    is_dry: bool = False,
    config: Config | None = None,
    observer: Observer | None = None,
) -> CheckpointGarbage:
    """Remove checkpoints from the cache, the least recently used first.

    Args:
        older_than: Remove those last used more seconds ago than that; ``None`` is no limit.
        max_size: Remove as many as bring the rest down to so many bytes on the disk; ``None`` is
            no limit. Without any limit only what killed processes left is removed.
        is_dry: Only say what would be removed.
        config: Settings; `Config.load` when ``None``.
        observer: Told of each removal.

    Raises:
        LagoError: The cache cannot be written.
    """
    from lago_sdk.connect import open_checkpoints
    from lago_sdk.service.checkpoints.gc import collect_checkpoints

    return collect_checkpoints(
        open_checkpoints(config or Config.load()),
        older_than=older_than,
        max_size=max_size,
        is_dry=is_dry,
        observer=observer or ignore,
    )


def import_template(
    path: str | os.PathLike[str],
    *,
    name: str,
    version: str | None = None,
    metadata: Mapping[str, object] | str | os.PathLike[str] | None = None,
    link: bool = False,
    config: Config | None = None,
    observer: Observer | None = None,
) -> Template:
    """Take a qcow2 or raw image into the store; blocks are shared where the file system can.

    Args:
        path: The image; it stays as it is.
        name: What to call the template.
        version: Its version; when ``None``, the first digits of the image's digest.
        metadata: Its facts (``distro``, ``ssh-user``, …), or a JSON file of them; when ``None``,
            ``<path>.metadata`` where there is such a file.
        link: Give the file a second name in place of copying it, where the file system can: it
            becomes read-only, and must never be changed again.
        config: Settings; `Config.load` when ``None``.
        observer: Told of the stages.

    Raises:
        TemplateError: *path* is no such image, its backing file is missing, the version is there
            with another image, or the store cannot be written; nothing is left then.
        ImageError: The image is damaged, or cannot be copied.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.archive import import_template as take_in

    return take_in(
        Path(path),
        name=name,
        version=version,
        metadata=Path(metadata) if isinstance(metadata, (str, os.PathLike)) else metadata,
        link=link,
        store=open_store(config or Config.load()),
        observer=observer or ignore,
    )


def export_template(
    name: str,
    version: str | None = None,
    *,
    target: str | os.PathLike[str],
    compression: Compression | None = None,
    config: Config | None = None,
    observer: Observer | None = None,
) -> ExportedTemplate:
    """Write a template to a file, with the ``.hash`` and ``.metadata`` that a repository needs.

    Args:
        name: The template.
        version: Its version; the newest when ``None``.
        target: The image's file, or a directory for ``<name>-<version>.<format>``.
        compression: How to compress it; told by the suffix of *target* when ``None``.
        config: Settings; `Config.load` when ``None``.
        observer: Told of the stages.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateError: It is damaged, or the file is there or cannot be written; nothing is left
            then.
    """
    from lago_sdk.connect import open_store
    from lago_sdk.templates.archive import export_template as write_out

    return write_out(
        open_store(config or Config.load()),
        name,
        version,
        target=Path(target),
        compression=compression,
        observer=observer or ignore,
    )


def fetch_template(
    name: str,
    version: str | None = None,
    *,
    config: Config | None = None,
    observer: Observer | None = None,
) -> Template:
    """Fetch a template from a repository or the catalogue into the store, unless it is there.

    It is checked by its published digest. Processes that want the same one fetch it once; what
    broke off is taken up where it ended.

    Args:
        name: The template, for example ``"debian-12"``.
        version: Its version; the newest one published when ``None``.
        config: Settings; `Config.load` when ``None``.
        observer: Told of the stages, the progress and what is worth knowing.

    Raises:
        TemplateNotFoundError: Nobody offers it; the hint names what comes close.
        TemplateError: It cannot be had, is damaged, or the store cannot be written.
    """
    from lago_sdk.templates.fetch import fetch_template as fetch

    return fetch(name, version, config=config or Config.load(), observer=observer or ignore)


def list_catalogue(
    *, config: Config | None = None, observer: Observer | None = None
) -> tuple[CatalogueEntry, ...]:
    """Return the images of vendors that can be fetched, by name.

    Raises:
        TemplateError: A catalogue of the settings cannot be read, or is wrong.
    """
    from lago_sdk.templates.sources import list_catalogue as list_entries

    return list_entries(config or Config.load(), observer=observer or ignore)


def list_outdated_templates(
    *, config: Config | None = None, observer: Observer | None = None
) -> tuple[OutdatedTemplate, ...]:
    """Return the templates of the store of which something newer is published; asks everybody.

    Args:
        config: Settings; `Config.load` when ``None``.
        observer: Told of templates whose publisher cannot be asked.

    Raises:
        TemplateError: The store, a repository or a catalogue cannot be read.
    """
    from lago_sdk.templates.sources import list_outdated

    return list_outdated(config or Config.load(), observer=observer or ignore)


def diagnose(*, config: Config | None = None) -> tuple[Finding, ...]:
    """Look at what this machine offers and lacks for running prefixes; starts nothing."""
    from lago_sdk.connect import diagnose_hosts

    return diagnose_hosts(config or Config.load())
