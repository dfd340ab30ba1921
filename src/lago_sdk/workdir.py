"""A directory of prefixes with a ``current`` link.

The layout is Lago's: one directory for each prefix, and a relative symbolic link ``current``
to one of them. A directory in it that has a ``uuid`` file is a prefix, finished or not.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lago_sdk.errors import PrefixExistsError, PrefixNotFoundError, WorkdirError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.prefix import Prefix
    from lago_sdk.spec.prefix import PrefixSpec

DEFAULT_NAME = ".lago"
"""Where a workdir is looked for in a directory and those above it."""

_CURRENT = "current"
_PREFIX_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BEGUN = frozenset({"LagoInitFile", "metadata"})
"""All that a creation which was cut off before the uuid was written can have left."""


class Workdir:
    """A directory of prefixes. Get one by `create`, `open` or `find`."""

    def __init__(self, path: Path) -> None:
        """Use `create`, `open` or `find`."""
        self._path = path

    def __repr__(self) -> str:
        """``<Workdir /home/ann/.lago>``."""
        return f"<Workdir {self._path}>"

    @classmethod
    def create(cls, path: str | os.PathLike[str] = DEFAULT_NAME) -> Self:
        """Return the workdir at *path*, which is made where it is absent.

        Raises:
            WorkdirError: Something else is there, or it cannot be made.
        """
        place = Path(path).absolute()
        try:
            place.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            message = f"{str(place)!r} cannot be a workdir: it is not a directory"
            raise WorkdirError(message) from error
        except OSError as error:
            message = f"the workdir {str(place)!r} cannot be made: {error.strerror}"
            raise WorkdirError(message) from error
        return cls(place)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the workdir at *path*, or in ``.lago`` below it.

        Raises:
            PrefixNotFoundError: There is none.
        """
        place = Path(path).absolute()
        for candidate in (place, place / DEFAULT_NAME):
            if _is_workdir(candidate):
                return cls(candidate)
        message = f"{str(place)!r} is not a workdir: it has no prefixes"
        raise PrefixNotFoundError(message, hint="make one: lagoctl init")

    @classmethod
    def find(cls, start_path: str | os.PathLike[str] = ".") -> Self:
        """Return the workdir at *start_path*, else ``.lago`` there or in a directory above.

        Raises:
            PrefixNotFoundError: There is none.
        """
        start = Path(start_path).absolute()
        candidates = [start, *(place / DEFAULT_NAME for place in (start, *start.parents))]
        for candidate in candidates:
            if _is_workdir(candidate):
                return cls(candidate)
        message = f"there is no workdir in {str(start)!r} or above it"
        raise PrefixNotFoundError(message, hint="make one: lagoctl init")

    @property
    def path(self) -> Path:
        """Its directory; absolute."""
        return self._path

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Names of its prefixes, sorted; unfinished ones too."""
        if not self._path.is_dir():
            return ()
        found = (entry for entry in self._path.iterdir() if not entry.is_symlink())
        return tuple(sorted(entry.name for entry in found if _is_prefix(entry)))

    @property
    def current(self) -> str | None:
        """Name of the current prefix; ``None`` in an empty workdir.

        Where the link is missing or points nowhere, the prefix ``default`` is current, else
        the last by name.
        """
        names = self.prefixes
        link = self._path / _CURRENT
        target = link.readlink().name if link.is_symlink() else None
        if target in names:
            return target
        if not names:
            return None
        return "default" if "default" in names else names[-1]

    def set_current(self, name: str) -> None:
        """Make *name* the current prefix.

        Raises:
            PrefixNotFoundError: There is no prefix of that name.
        """
        self.get_path(name)
        unfinished = self._path / f".{_CURRENT}.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(name)
        unfinished.replace(self._path / _CURRENT)

    def get_path(self, name: str = _CURRENT) -> Path:
        """Return the directory of the prefix *name*.

        Raises:
            PrefixNotFoundError: There is no prefix of that name; the hint names those there are.
        """
        names = self.prefixes
        wanted = self.current if name == _CURRENT else name
        if wanted is None:
            message = f"the workdir {str(self._path)!r} has no prefix"
            raise PrefixNotFoundError(message, hint="make one: lagoctl init")
        if wanted not in names:
            message = f"the workdir {str(self._path)!r} has no prefix {wanted!r}"
            raise PrefixNotFoundError(message, hint=suggest(wanted, names))
        return self._path / wanted

    def add_prefix(
        self,
        spec: PrefixSpec | Mapping[str, object] | str | os.PathLike[str],
        name: str,
        *,
        config: Config | None = None,
        observer: Observer | None = None,
    ) -> Prefix:
        """Make another prefix here; as `Prefix.create`."""
        from lago_sdk.prefix import Prefix

        return Prefix.create(
            spec, workdir=self._path, name=name, config=config, observer=observer, keep=True
        )

    def destroy(
        self, *, config: Config | None = None, observer: Observer | None = None
    ) -> tuple[str, ...]:
        """Destroy every prefix and the workdir itself; returns the prefixes' names."""
        from lago_sdk.prefix import Prefix

        names = self.prefixes
        for name in names:
            Prefix.open(self._path, name, config=config, observer=observer).destroy()
        self.remove_if_empty()
        return names

    # -- for Prefix ------------------------------------------------------------------------

    def make_place(self, name: str) -> Path:
        """Make the directory of a new prefix.

        Raises:
            WorkdirError: The name cannot be a directory's name here.
            PrefixExistsError: The name is taken.
        """
        if name == _CURRENT or not _PREFIX_NAME.fullmatch(name):
            hint = "use letters, digits, '.', '_' and '-', starting with a letter or digit"
            raise WorkdirError(f"a prefix cannot be called {name!r}", hint=hint)
        place = self._path / name
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            if not _was_begun(place):
                raise PrefixExistsError(
                    f"there is a prefix {name!r} in {str(self._path)!r} already",
                    hint="take another name (--prefix-name) or destroy it: lagoctl destroy",
                ) from None
        return place

    def adopt(self, name: str) -> None:
        """Take note of a new prefix: the first one becomes current."""
        link = self._path / _CURRENT
        if not link.is_symlink() or not link.exists():
            self.set_current(name)

    def remove_if_empty(self) -> None:
        """Remove a ``current`` link that points nowhere, and the workdir when nothing is left."""
        link = self._path / _CURRENT
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
            remaining = self.current
            if remaining is not None:
                self.set_current(remaining)
        with contextlib.suppress(OSError):
            self._path.rmdir()


def _is_prefix(path: Path) -> bool:
    return (path / "uuid").is_file()


def _was_begun(path: Path) -> bool:
    """Whether *path* is what a creation left that was cut off before it had a uuid."""
    if not path.is_dir() or path.is_symlink():
        return False
    return all(entry.name in _BEGUN or entry.name.startswith(".") for entry in path.iterdir())


def _is_workdir(path: Path) -> bool:
    if not path.is_dir():
        return False
    if (path / _CURRENT).is_symlink():
        return True
    return any(_is_prefix(entry) for entry in path.iterdir() if entry.is_dir())
