"""What the templates of a store cost and whom they serve; removing those that serve nobody."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.files import remove_tree
from lago_sdk.errors import LockedError, TemplateError, TemplateInUseError, TemplateNotFoundError
from lago_sdk.events import Note, ignore
from lago_sdk.templates.locks import hold_briefly
from lago_sdk.templates.names import is_name
from lago_sdk.templates.record import RECORD, Template
from lago_sdk.templates.shelf import writing
from lago_sdk.templates.usage import TemplateUse, forget_usage, get_usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.events import Observer
    from lago_sdk.templates.store import TemplateStore

_BLOCK = 512
"""Bytes of a block in ``st_blocks``, whatever the file system."""
_PARTIAL_SECONDS = 7 * 24 * 3600.0
"""How long a download that was broken off is kept to be resumed."""
_SHOWN = 5
"""Users of a template that a message names."""


@attrs.frozen(kw_only=True)
class TemplateInfo:
    """A template of the store, what it costs and whom it serves."""

    template: Template
    disk_usage: int
    """Bytes that it takes on the disk; blocks shared with other files count in full."""
    last_used: float
    """When it was last taken into use, or else added, in seconds since the epoch."""
    users: tuple[TemplateUse, ...]
    """Prefixes that use it."""
    above: tuple[str, ...]
    """Templates made on it, as ``name:version``."""

    @property
    def is_used(self) -> bool:
        """Whether something would break without it."""
        return bool(self.users or self.above)


@attrs.frozen(kw_only=True)
class GarbageReport:
    """What a garbage collection removed, or would."""

    removed: tuple[TemplateInfo, ...]
    """Templates, in the order of their removal."""
    kept: tuple[TemplateInfo, ...]
    is_dry: bool
    """Whether nothing was removed in truth."""

    @property
    def freed(self) -> int:
        """Bytes of the disk that the removed templates took."""
        return sum(info.disk_usage for info in self.removed)


def list_infos(store: TemplateStore, name: str | None = None) -> tuple[TemplateInfo, ...]:
    """Return what is known of the templates in *store*, by name, newest version first.

    Args:
        store: The store.
        name: Only those of this name.

    Raises:
        TemplateError: A record cannot be read.
    """
    templates = store.list()
    wanted = templates if name is None else store.list(name)
    found = []
    for template in wanted:
        with suppress(TemplateNotFoundError):  # removed since it was listed
            found.append(_describe(store, template, templates))
    return tuple(found)


def get_info(store: TemplateStore, name: str, version: str | None = None) -> TemplateInfo:
    """Return what is known of one template.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateError: A record cannot be read.
    """
    return _describe(store, store.get_template(name, version), store.list())


def choose_garbage(
    infos: Iterable[TemplateInfo], *, older_than: float | None, max_size: int | None, now: float
) -> tuple[TemplateInfo, ...]:
    """Choose templates to remove, least recently used first; pure.

    Never one that a prefix uses, nor one below a template that stays.

    Args:
        infos: All templates of a store.
        older_than: Choose those last used more seconds ago than that.
        max_size: Choose as many more as bring the store down to so many bytes on the disk.
        now: The time, in seconds since the epoch.
    """
    left = {info.template.reference: info for info in infos}
    size = sum(info.disk_usage for info in left.values())
    chosen: list[TemplateInfo] = []
    while True:
        free = [x for x in left.values() if not x.users and left.keys().isdisjoint(x.above)]
        oldest = min(free, key=lambda x: (x.last_used, x.template.reference), default=None)
        if oldest is None:
            return tuple(chosen)
        is_old = older_than is not None and now - oldest.last_used > older_than
        if not is_old and (max_size is None or size <= max_size):
            return tuple(chosen)
        chosen.append(left.pop(oldest.template.reference))
        size -= oldest.disk_usage


def collect_garbage(
    store: TemplateStore,
    *,
    older_than: float | None,
    max_size: int | None,
    is_dry: bool = False,
    observer: Observer = ignore,
) -> GarbageReport:
    """Remove templates that nobody uses, and what killed processes left behind.

    Args:
        store: The store.
        older_than: Remove those last used more seconds ago than that; ``None`` is no limit.
        max_size: Remove the least recently used until the store takes at most so many bytes on
            the disk; ``None`` is no limit.
        is_dry: Only say what would be removed.
        observer: Told of each removal.

    Raises:
        TemplateError: A record cannot be read, or the store cannot be written.
    """
    infos = list_infos(store)
    chosen = choose_garbage(infos, older_than=older_than, max_size=max_size, now=time.time())
    if not is_dry and infos:
        clear_leftovers(store)
    removed = [info for info in chosen if is_dry or _remove_unused(store, info, observer)]
    kept = tuple(info for info in infos if info not in removed)
    return GarbageReport(removed=tuple(removed), kept=kept, is_dry=is_dry)


def clear_leftovers(store: TemplateStore) -> None:
    """Remove what killed processes left in the making, or on the way out.

    Downloads that can be resumed are kept for a week.

    Raises:
        TemplateError: The store cannot be written.
    """
    scratch = store.path / ".tmp"
    with store.changing("look for leftovers"):  # nothing is half-way to .removed under the lock
        removed = _list_directories(scratch / ".removed")
    for path in removed:
        remove_tree(path)
    for path in _list_directories(scratch):
        if is_name(path.name):
            _clear_abandoned(store, path)
    for path in _list_directories(scratch / ".partial"):
        if is_name(path.name) and _find_last_change(path) < time.time() - _PARTIAL_SECONDS:
            _clear_abandoned(store, path)


def remove_template(
    store: TemplateStore, name: str, version: str | None = None, *, force: bool = False
) -> TemplateInfo:
    """Remove one version of a template from the store.

    Args:
        store: The store.
        name: The template.
        version: The version; may be left out where there is only one.
        force: Remove it even from under prefixes and templates, which are broken then.

    Raises:
        TemplateNotFoundError: It is not in the store.
        TemplateInUseError: It is used; says by whom.
        TemplateError: *version* is needed, or the store cannot be written.
    """
    versions = [template.version for template in store.list(name)]
    if version is None and len(versions) > 1:
        raise TemplateError(
            f"the template {name!r} has {len(versions)} versions",
            hint=f"name one: {', '.join(f'{name}:{version}' for version in versions)}",
        )
    template = store.get_template(name, version)
    return _detach(store, template, force=force)


def _remove_unused(store: TemplateStore, info: TemplateInfo, observer: Observer) -> bool:
    """Remove a template; returns whether that was done: it may be in use, or gone, by now."""
    template = info.template
    try:
        _detach(store, template, force=False)
    except (TemplateNotFoundError, TemplateInUseError):
        return False
    observer(Note(message=f"removed {template.reference}"))
    return True


def _detach(store: TemplateStore, template: Template, *, force: bool) -> TemplateInfo:
    """Take an entry out of the store in one step, and remove it then."""
    with store.changing(f"remove the template {template.reference}"):
        info = get_info(store, template.name, template.version)
        if info.is_used and not force:
            raise _used_error(info)
        entry = Path(template.image.path).parent
        removed = store.path / ".tmp" / ".removed"
        with writing(store.path):
            removed.mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(dir=removed))
            entry.rename(place / entry.name)
            forget_usage(store, template)
            if not any(entry.parent.iterdir()):
                entry.parent.rmdir()
    remove_tree(place)
    return info


def _clear_abandoned(store: TemplateStore, path: Path) -> None:
    """Remove a directory that belongs to the holder of a template's lock, if there is none."""
    lock = store.path / ".locks" / f"{path.name}.lock"
    with suppress(LockedError), hold_briefly(lock, purpose="clear leftovers", timeout=0):
        remove_tree(path)


def _list_directories(path: Path) -> tuple[Path, ...]:
    with suppress(FileNotFoundError):
        return tuple(entry for entry in path.iterdir() if entry.is_dir())
    return ()


def _find_last_change(path: Path) -> float:
    """Return when something in a directory was last written, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return max(entry.stat().st_mtime for entry in (path, *path.iterdir()))
    return time.time()


def _describe(
    store: TemplateStore, template: Template, templates: Iterable[Template]
) -> TemplateInfo:
    usage = get_usage(store, template)
    disk_usage, added = _measure(Path(template.image.path).parent)
    above = (other.reference for other in templates if other.below == template.reference)
    return TemplateInfo(
        template=template,
        disk_usage=disk_usage,
        last_used=added if usage.last_used is None else max(usage.last_used, added),
        users=usage.users,
        above=tuple(above),
    )


def _measure(entry: Path) -> tuple[int, float]:
    """Return the bytes that an entry takes, and when it was added."""
    try:
        usage = sum(path.stat().st_blocks * _BLOCK for path in entry.iterdir())
        return usage, (entry / RECORD).stat().st_mtime
    except FileNotFoundError as error:
        raise TemplateNotFoundError(f"the template in {entry} is being removed") from error


def _used_error(info: TemplateInfo) -> TemplateInUseError:
    reference = info.template.reference
    names = [str(use.prefix) for use in info.users] + [f"the template {x}" for x in info.above]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return TemplateInUseError(
        f"the template {reference} is used by {', '.join(names[:_SHOWN])}{more}",
        hint="destroy what uses it first; --force removes it, and breaks that",
    )
