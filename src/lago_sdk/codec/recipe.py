"""Recipe files: YAML or JSON to :class:`~lago_sdk.spec.recipe.RecipeSpec`."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import attrs

from lago_sdk.codec.document import parse_document
from lago_sdk.codec.load import locate_all, read_text
from lago_sdk.codec.structure import structure_model
from lago_sdk.codec.values import BadValue
from lago_sdk.errors import SpecError
from lago_sdk.spec.problems import Problem, Severity
from lago_sdk.spec.recipe import RecipeSpec, check_recipe
from lago_sdk.spec.sink import Sink

if TYPE_CHECKING:
    import os

_EMPTY_HINT = "a recipe needs at least a name, for example 'name: nginx'"


def load_recipe(path: str | os.PathLike[str]) -> RecipeSpec:
    """Read a recipe file.

    Nothing in it is passed over: an unknown key is an error too. The ``source`` of each file
    is absolute afterwards.

    Raises:
        SpecError: With every problem at once, each with file, line, column and path.
    """
    file = FilePath(path)
    text = read_text(str(file), hint="a recipe describes a template; give the path of one")
    if isinstance(text, Problem):
        raise SpecError((text,))
    spec = loads_recipe(text, file=str(file))
    beside = file.absolute().parent
    files = [
        item if item.source is None else attrs.evolve(item, source=str(beside / item.source))
        for item in spec.files
    ]
    return attrs.evolve(spec, files=tuple(files))


def loads_recipe(text: str, *, file: str | None = None) -> RecipeSpec:
    """Read the text of a recipe file.

    Args:
        text: YAML or JSON.
        file: Name of the file it came from, shown with problems.

    Raises:
        SpecError: With every problem at once, each with line, column and path.
    """
    document = parse_document(text)
    sink = Sink()
    sink.problems += [_told(problem) for problem in document.problems]
    spec: RecipeSpec | None = None
    if not document.problems or document.value is not None:
        try:
            spec = structure_model(document.value, (), sink, RecipeSpec)
        except BadValue as bad:
            sink.error((), bad.message, hint=bad.hint or _EMPTY_HINT, code=bad.code)
    if spec is not None and not any(problem.is_error for problem in sink.problems):
        check_recipe(spec, sink)
    if sink.problems or spec is None:
        problems = [attrs.evolve(x, severity=Severity.ERROR) for x in sink.problems]
        raise SpecError(locate_all(document, problems, file))
    return spec


def _told(problem: Problem) -> Problem:
    """Return a problem of the text, with a hint that is about recipes."""
    return attrs.evolve(problem, hint=_EMPTY_HINT) if problem.code == "empty-file" else problem
