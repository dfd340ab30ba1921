"""Plugins: the one place that reads the entry points of installed packages.

Packages are looked at when something is asked for that only a plugin could be, and a plugin is
imported when it is asked for itself. What was found stays for the life of the process, or until
``sys.path`` changes.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from lago_sdk.events import Observer
    from lago_sdk.ports import PluginInfo, PluginKind

T = TypeVar("T")

_MARK = b"[lago_sdk."
_METADATA = (".dist-info", ".egg-info")


def has_plugins() -> bool:
    """Whether any package declares a plugin; a millisecond or two.

    ``importlib.metadata`` takes thirty times as long to be imported alone, and nearly nobody has
    plugins.
    """
    return _has_plugins(tuple(sys.path))


@cache
def _has_plugins(path: tuple[str, ...]) -> bool:
    return any(_MARK in text for entry in path for text in _read_declarations(entry or "."))


def _read_declarations(directory: str) -> Iterator[bytes]:
    """Yield the entry points of the packages in a directory of ``sys.path``."""
    if os.path.isfile(directory):  # noqa: PTH113 - an archive, which the slow way has to read
        yield _MARK
        return
    try:
        names = [name for name in os.listdir(directory) if name.endswith(_METADATA)]  # noqa: PTH208
    except OSError:
        return
    for name in names:
        try:
            with open(f"{directory}/{name}/entry_points.txt", "rb") as file:  # noqa: PTH123
                yield file.read()
        except OSError:
            continue


@cache
def _read_group(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group)) if _has_plugins(path) else ()


@cache
def _load(point: EntryPoint, _path: tuple[str, ...]) -> object:
    """Import what an entry point names; whatever goes wrong is kept as a `_Broken`."""
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code may do anything
        return _Broken(error)


class _Broken:
    """An entry point that cannot be imported."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class InstalledPlugins:
    """A :class:`lago_sdk.ports.Plugins` over the entry points of installed packages.

    Args:
        log_dir: Directory for tracebacks of plugins that fail; made when one does.
        observer: Told of each plugin that fails, once.
    """

    def __init__(self, *, log_dir: Path, observer: Observer) -> None:
        self._log_dir = log_dir
        self._observe = observer
        self._told: set[tuple[PluginKind, str]] = set()

    def list_names(self, kind: PluginKind, *, taken: Collection[str] = ()) -> tuple[str, ...]:
        """See `Plugins.list_names`."""
        names = []
        for name, points in self._read(kind).items():
            problem = _find_clash(kind, points, taken)
            if problem:
                self._tell(kind, points[-1], problem)
            if not _is_taken(kind, name, taken):
                names.append(name)
        return tuple(names)

    def find(self, kind: PluginKind, name: str, accept: Callable[[object], T]) -> T | None:
        """See `Plugins.find`."""
        points = self._read(kind).get(name, ())
        if not points or _is_taken(kind, name, ()):
            return None
        if len(points) > 1:
            self._tell(kind, points[-1], _find_clash(kind, points, ()))
        try:
            return _use(points[0], accept)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            self._tell(kind, points[0], f"it is left out: {_summarize(error)}", error)
            return None

    def list_all(
        self,
        accept: Callable[[PluginKind, object], object],
        *,
        taken: Collection[str] = (),
    ) -> tuple[PluginInfo, ...]:
        """Import every plugin, and return which there are and what is wrong with them.

        Args:
            accept: Is given a kind and what an entry point names, and raises where that is not
                what it ought to be.
            taken: Names that commands must not have.
        """
        from lago_sdk.ports import PluginInfo, PluginKind

        found = []
        for kind in PluginKind:
            words = taken if kind is PluginKind.COMMAND else ()
            for points in self._read(kind).values():
                for point in points:
                    problem = _find_clash(kind, points, words) if point is points[-1] else ""
                    if not problem:
                        problem = _examine(point, lambda value, kind=kind: accept(kind, value))  # type: ignore[misc]
                    info = PluginInfo(
                        kind=kind, name=point.name, package=_package(point), problem=problem
                    )
                    found.append(info)
        return tuple(found)

    def _read(self, kind: PluginKind) -> dict[str, tuple[EntryPoint, ...]]:
        """The entry points of one kind by name; the first one of a name is the one that counts."""
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for point in _read_group(kind.value, tuple(sys.path)):
            found[point.name] = (*found.get(point.name, ()), point)
        return found

    def _tell(
        self,
        kind: PluginKind,
        point: EntryPoint,
        problem: str,
        error: BaseException | None = None,
    ) -> None:
        from lago_sdk.events import Note

        if (kind, point.name) in self._told:
            return
        self._told.add((kind, point.name))
        text = f"the plugin {point.name!r} ({kind.words}, of {_package(point)}): {problem}"
        detail = ""
        if error is not None:
            detail = "".join(traceback.format_exception(error))
            path = self._save(kind, point, f"{text}\n\n{detail}")
            text += f"; the traceback is in {path}" if path is not None else ""
        self._observe(Note(message=text, warning=True, detail=detail))

    def _save(self, kind: PluginKind, point: EntryPoint, text: str) -> Path | None:
        """Write down what went wrong; returns where, or ``None`` where it cannot be."""
        stem = re.sub(r"[^\w.-]", "_", f"{kind.words}-{point.name}")
        path = self._log_dir / f"plugin-{stem}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError:
            return None
        return path


def _use(point: EntryPoint, accept: Callable[[object], T]) -> T:
    value = _load(point, tuple(sys.path))
    if isinstance(value, _Broken):
        raise value.error
    return accept(value)


def _examine(point: EntryPoint, accept: Callable[[object], object]) -> str:
    """Return what is wrong with a plugin; nothing where it can be used."""
    try:
        _use(point, accept)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
        return _summarize(error)
    return ""


def _is_taken(kind: PluginKind, name: str, taken: Collection[str]) -> bool:
    from lago_sdk.ports import BUILT_IN

    return name in BUILT_IN[kind] or name in taken


def _find_clash(kind: PluginKind, points: tuple[EntryPoint, ...], taken: Collection[str]) -> str:
    """Return what is wrong with the name of the last of *points*, which share it; or nothing."""
    if _is_taken(kind, points[0].name, taken):
        return "it is left out: the name is the library's own"
    if len(points) > 1:
        return f"it is left out: {_package(points[0])} has one of that name"
    return ""


def _summarize(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]


def _package(point: EntryPoint) -> str:
    found = point.dist
    return "an unknown package" if found is None else f"{found.name} {found.version}"
