"""The template store: a directory of disk images that overlays are made on.

::

    STORE/NAME/VERSION/image.qcow2     the image: read-only, never changed once it is here
    STORE/NAME/VERSION/template.json   its record
    STORE/.users/NAME/VERSION.json     which prefixes use it; see usage.py
    STORE/.tmp/NAME/...                entries in the making, renamed into place when complete
    STORE/.tmp/.removed/...            entries on their way out
    STORE/.locks/NAME.lock             held by whoever makes an entry of NAME; may be for long
    STORE/.locks/.store.lock           held for milliseconds, to mark, publish or remove an entry

An entry is complete or absent. What a killed process left in ``.tmp`` is removed by the next
one that takes the template's lock, or by a garbage collection. Entries are readable by all who
can reach the store, whatever the umask: QEMU may run as another user.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters.files import remove_tree
from lago_sdk.errors import TemplateError, TemplateNotFoundError, suggest
from lago_sdk.events import Observer, ignore
from lago_sdk.templates.locks import hold, hold_briefly
from lago_sdk.templates.names import check_name, is_name, split_reference
from lago_sdk.templates.record import RECORD, Template, digest, find_record
from lago_sdk.templates.shelf import Shelf, let_read, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lago_sdk.plan.models import Image

__all__ = ["Shelf", "Template", "TemplateStore", "check_name", "digest"]

_LOCK_SECONDS = 30.0
"""The store's lock is held for milliseconds; this is for a host that has stalled."""


class TemplateStore:
    """The templates of one directory; implements the port ``Templates``.

    Args:
        path: The store's directory; made when something is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def list(self, name: str | None = None) -> tuple[Template, ...]:
        """Return the templates there are, by name, of each the newest first.

        Args:
            name: Only those of this name.

        Raises:
            TemplateError: A record cannot be read.
        """
        names = _list_names(self.path) if name is None else (check_name(name),)
        records = [
            self.path / name / version / RECORD
            for name in names
            for version in _list_names(self.path / name)
        ]
        templates = [found for path in records if (found := find_record(path)) is not None]
        return tuple(sorted(templates, key=lambda x: (x.name, -x.timestamp, x.version)))

    def find_template(self, name: str, version: str | None = None) -> Template | None:
        """Return the newest version of *name*, or the one asked for, or ``None``."""
        if version is not None:
            return find_record(self._entry(name, version) / RECORD)
        return next(iter(self.list(name)), None)

    def get_template(self, name: str, version: str | None = None) -> Template:
        """Return the newest version of *name*, or the one asked for.

        Raises:
            TemplateNotFoundError: It is not in the store; the hint says how to get it.
            TemplateError: Its record cannot be read.
        """
        found = self.find_template(name, version)
        if found is None:
            raise self._not_found(name, version)
        return found

    def find(self, name: str, version: str | None = None) -> Image | None:
        """Return the image of a template, or ``None`` when it is not in the store."""
        found = self.find_template(name, version)
        return found.image if found else None

    def get(self, name: str, version: str | None = None) -> Image:
        """Return the image of a template.

        Raises:
            TemplateNotFoundError: It is not in the store; the hint says how to get it.
            TemplateError: Its record cannot be read.
        """
        return self.get_template(name, version).image

    def find_by_path(self, path: Path) -> Template | None:
        """Return the template whose image is the file *path*, or ``None``."""
        entry = path.parent
        if entry.parent.parent != self.path or not is_name(entry.parent.name):
            return None
        if not is_name(entry.name):
            return None
        found = self.find_template(entry.parent.name, entry.name)
        return found if found is not None and found.image.path == str(path) else None

    def identify(self, path: Path) -> str | None:
        """Return ``name:version`` of the template whose image is the file *path*, or ``None``."""
        found = self.find_by_path(path)
        return None if found is None else found.reference

    def list_layers(self, template: Template) -> tuple[Template, ...]:
        """Return *template* and those its image is made on, from the top down.

        Raises:
            TemplateNotFoundError: One of them is not in the store.
        """
        layers = [template]
        while (below := layers[-1].below) is not None:
            layers.append(self.get_template(*split_reference(below)))
        return tuple(layers)

    def verify(
        self, name: str, version: str | None = None, *, observer: Observer = ignore
    ) -> Template:
        """Check that a stored image still is what was added.

        Args:
            name: The template.
            version: Its version; the newest when ``None``.
            observer: Told how far the reading has come.

        Raises:
            TemplateNotFoundError: It is not in the store.
            TemplateError: The file is missing, or its digest is another one.
        """
        template = self.get_template(name, version)
        path = Path(template.image.path)
        try:
            found = digest(path, observer=observer, subject=template.reference)
        except OSError as error:
            raise TemplateError(f"cannot read {path}: {error.strerror}") from error
        if found != template.image.digest:
            raise TemplateError(
                f"the template {name!r}, version {template.version!r}, is damaged: "
                f"{path} has {found}, not {template.image.digest}",
                hint=f"remove {path.parent} and get it again",
            )
        return template

    @contextmanager
    def locked(self, name: str, observer: Observer = ignore) -> Iterator[Shelf]:
        """Hold the lock of the template *name*; others that want it wait.

        Args:
            name: The template.
            observer: Told when somebody else has to be waited for, and how far they have come.

        Raises:
            TemplateError: *name* is unusable, or the store cannot be written.
        """
        path = self._locks() / f"{check_name(name)}.lock"
        with hold(path, purpose=f"make the template {name}", observer=observer) as shared:
            shelf = Shelf(name, store=self, observer=shared)
            remove_tree(shelf.scratch)
            with writing(self.path):
                shelf.scratch.mkdir(parents=True)
            try:
                yield shelf
            finally:
                remove_tree(shelf.scratch)

    def changing(self, purpose: str) -> AbstractContextManager[None]:
        """Hold the lock under which entries appear, are marked as used, and disappear.

        Args:
            purpose: What is done under it, as a verb phrase; a matter of milliseconds.

        Raises:
            LockedError: Somebody holds it for unreasonably long; says who.
            TemplateError: The store cannot be written.
        """
        path = self._locks() / ".store.lock"
        return hold_briefly(path, purpose=purpose, timeout=_LOCK_SECONDS)

    def _locks(self) -> Path:
        """Return the directory of the locks, which is made, with the store, where absent."""
        locks = self.path / ".locks"
        with writing(self.path):
            is_new = not self.path.exists()
            locks.mkdir(parents=True, exist_ok=True)
            if is_new:
                let_read(self.path)
        return locks

    def _entry(self, name: str, version: str) -> Path:
        return self.path / check_name(name) / check_name(version)

    def _not_found(self, name: str, version: str | None) -> TemplateNotFoundError:
        from lago_sdk.templates.recipes import RECIPES

        versions = [template.version for template in self.list(name)]
        if versions and version is not None:
            message = f"the template {name!r} has no version {version!r} in {self.path}"
            return TemplateNotFoundError(message, hint=suggest(version, versions))
        message = f"there is no template {name!r} in {self.path}"
        if name in RECIPES:
            return TemplateNotFoundError(message, hint=f"make it: lagoctl template build {name}")
        names = {template.name for template in self.list()} | set(RECIPES)
        return TemplateNotFoundError(message, hint=suggest(name, names))


def _list_names(directory: Path) -> tuple[str, ...]:
    """Return what in a directory can be the name or version of a template.

    Others may remove it meanwhile, which globbing would not bear.
    """
    try:
        return tuple(entry.name for entry in directory.iterdir() if is_name(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        message = f"cannot read the template store {directory}: {error.strerror}"
        raise TemplateError(message) from error
