"""Init file to spec: the doors of the codec."""

from __future__ import annotations

import os
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, TypeVar

import attrs

from lago_sdk.codec.document import Document, parse_document
from lago_sdk.codec.files import check_files
from lago_sdk.codec.prefix import PartialSpec, structure_prefix
from lago_sdk.errors import SpecError
from lago_sdk.spec.checks import check_spec
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.spec.problems import Problem
from lago_sdk.spec.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lago_sdk.spec.problems import Path

S = TypeVar("S", bound=PrefixSpec)

_AT_KEY = frozenset({"unknown-key", "deprecated-key", "useless-key"})
"""Problems that are about a key: their place is the key, not its value."""
_FILE_HINT = "an init file describes the VMs and nets; give the path of one"
_NET_DETAILS = frozenset(
    {"two-management-nets", "no-management-net", "address-outside", "subnet-full", "no-addresses"}
)
"""Problems that may only be the echo of an error in the section ``nets``."""


def load_spec(path: str | os.PathLike[str], cls: type[S] = PrefixSpec) -> S:  # type: ignore[assignment]
    """Read an init file (YAML or JSON).

    Raises:
        SpecError: With every problem at once, each with file, line, column and path.
    """
    return _require(check_file(path), cls)


def loads_spec(text: str, cls: type[S] = PrefixSpec, *, file: str | None = None) -> S:  # type: ignore[assignment]
    """Read the text of an init file.

    Args:
        text: YAML or JSON.
        cls: Class of the result.
        file: Name of the file it came from: shown with problems, and its directory is what
            ``$LAGO_INITFILE_PATH`` means.

    Raises:
        SpecError: With every problem at once, each with line, column and path.
    """
    return _require(check_text(text, file=file), cls)


def structure_spec(source: object, cls: type[S] = PrefixSpec, *, init_dir: str | None = None) -> S:  # type: ignore[assignment]
    """Make a spec of a plain mapping with the keys of an init file; a spec is only checked.

    Args:
        source: A mapping, or a ``PrefixSpec`` (which is given back when it is sound).
        cls: Class of the result.
        init_dir: Absolute directory that relative paths and ``$LAGO_INITFILE_PATH`` mean.

    Raises:
        SpecError: With every problem at once, each with its path.
    """
    found: tuple[PrefixSpec | None, tuple[Problem, ...]]
    if isinstance(source, PrefixSpec):
        found = (source, check_spec(source))
    else:
        found = _check_document(Document(value=source), file=None)
    spec = _require(found, cls)
    return spec if init_dir is None else attrs.evolve(spec, init_dir=init_dir)


def check_file(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    plugins: Mapping[str, Collection[str]] | None = None,
) -> tuple[PrefixSpec | None, tuple[Problem, ...]]:
    """Read an init file and tell all problems, warnings included.

    Args:
        path: The init file.
        environ: Values of variables; where given, scripts and images that do not exist are
            problems too.
        plugins: Names that plugins add, by the key of the init file; ``None`` where nobody has
            looked.

    Returns:
        The spec (``None`` when there are errors), and the problems in file order.
    """
    file = os.fspath(path)
    text = read_text(file, hint=_FILE_HINT)
    if isinstance(text, Problem):
        return None, (text,)
    return _check_document(parse_document(text), file=file, environ=environ, plugins=plugins)


def read_text(file: str, *, hint: str) -> str | Problem:
    """Return the text of a file, or why there is none; *hint* is for a file that is missing."""
    try:
        return FilePath(file).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return Problem(
            message="the file is not UTF-8 text",
            hint="save it as UTF-8",
            code="not-utf8",
            file=file,
            line=line,
        )
    except OSError as error:
        return _unreadable(file, error, hint)


def _unreadable(file: str, error: OSError, hint: str) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(message="there is no such file", hint=hint, code="no-file", file=file)
    if isinstance(error, IsADirectoryError):
        inside = FilePath(file) / "LagoInitFile"
        hint = f"did you mean {str(inside)!r}?" if inside.is_file() else "give the path of a file"
        return Problem(message="it is a directory", hint=hint, code="no-file", file=file)
    reason = (error.strerror or str(error)).lower()
    return Problem(message=f"it cannot be read: {reason}", code="no-file", file=file)


def check_text(
    text: str, *, file: str | None = None
) -> tuple[PrefixSpec | None, tuple[Problem, ...]]:
    """Read the text of an init file and tell all problems, warnings included.

    Returns:
        The spec (``None`` when there are errors), and the problems in file order.
    """
    return _check_document(parse_document(text), file=file)


def _check_document(
    document: Document,
    *,
    file: str | None,
    environ: Mapping[str, str] | None = None,
    plugins: Mapping[str, Collection[str]] | None = None,
) -> tuple[PrefixSpec | None, tuple[Problem, ...]]:
    problems = list(document.problems)
    partial: PartialSpec | None = None
    if document.value is not None or not problems:
        sink = Sink()
        partial = structure_prefix(document.value, sink, document.origins)
        problems += sink.problems
        problems += _sound_checks(partial, sink.problems, plugins)
        if file is not None:
            init_dir = str(FilePath(file).absolute().parent)
            partial = attrs.evolve(partial, spec=attrs.evolve(partial.spec, init_dir=init_dir))
        if environ is not None:
            problems += check_files(partial.spec, environ)
    located = locate_all(document, problems, file)
    if partial is None or any(problem.is_error for problem in located):
        return None, located
    return partial.spec, located


def _sound_checks(
    partial: PartialSpec,
    structural: list[Problem],
    plugins: Mapping[str, Collection[str]] | None,
) -> list[Problem]:
    """The whole-spec checks, without those that only repeat an error there is already."""
    if not partial.is_checkable:
        return []
    bad = {problem.path for problem in structural if problem.is_error}
    found = check_spec(partial.spec, plugins)
    if not bad:
        return list(found)
    bad_nets = any(path[:1] == ("nets",) for path in bad)
    return [
        problem
        for problem in found
        if not _is_below(problem.path, bad) and not (bad_nets and problem.code in _NET_DETAILS)
    ]


def _is_below(path: Path, bad: set[Path]) -> bool:
    return any(path[:length] in bad for length in range(len(path) + 1))


def locate_all(
    document: Document, problems: list[Problem], file: str | None
) -> tuple[Problem, ...]:
    """Give each problem its place, in file order, and each place its problem once."""
    located: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        if problem.line is None and problem.path is not None:
            mark = document.locate(problem.path, at_key=problem.code in _AT_KEY)
            place = (mark.line, mark.column) if mark else (None, None)
            problem = attrs.evolve(problem, line=place[0], column=place[1])  # noqa: PLW2901
        problem = attrs.evolve(problem, file=file)  # noqa: PLW2901
        where = (problem.line, problem.column) if problem.line else problem.path
        # An anchor or a prototype that many VMs share is wrong once, not once a VM.
        located.setdefault((where, problem.code, problem.message), problem)
    return tuple(
        sorted(located.values(), key=lambda x: (x.line is None, x.line or 0, x.column or 0))
    )


def _require(found: tuple[PrefixSpec | None, tuple[Problem, ...]], cls: type[S]) -> S:
    spec, problems = found
    errors = [problem for problem in problems if problem.is_error]
    if errors or spec is None:
        raise SpecError(errors)
    if isinstance(spec, cls):
        return spec
    return cls(vms=spec.vms, nets=spec.nets, init_dir=spec.init_dir)
