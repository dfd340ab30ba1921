"""The options that every verb takes, before its name or after it."""

import copy
import dataclasses
import enum
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer


class Format(enum.StrEnum):
    """How data is written."""

    DEFAULT = "default"
    JSON = "json"
    YAML = "yaml"
    FLAT = "flat"


class LogLevel(enum.StrEnum):
    """How much is told on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the user said; ``None`` is "nothing"."""

    out_format: str | None = None
    loglevel: LogLevel | None = None
    logdepth: int | None = None
    quiet: bool | None = None
    workdir_path: Path | None = None
    prefix_name: str | None = None
    host: str | None = None

    def merged(self, later: "Options") -> "Options":
        """These options, overridden by those that *later* gives."""
        given = {name: value for name, value in later.arguments().items() if value is not None}
        return dataclasses.replace(self, **given)

    def arguments(self) -> dict[str, Any]:
        """The options by name, those not given as ``None``."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _complete_format(incomplete: str) -> list[str]:
    from lago_sdk import PluginKind, open_plugins

    known = [*Format, *open_plugins().list_names(PluginKind.OUTPUT)]
    return [name for name in known if name.startswith(incomplete)]


_DECLARED: dict[str, Any] = {
    "out_format": Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            "--out-format",
            metavar="FORMAT",
            help="default, json, yaml or flat. When absent: tables on a terminal, else default.",
            autocompletion=_complete_format,
        ),
    ],
    "loglevel": Annotated[
        LogLevel | None,
        typer.Option("--loglevel", "-l", metavar="LEVEL", help="debug, info, warning or error."),
    ],
    "logdepth": Annotated[
        int | None,
        typer.Option("--logdepth", help="How deep nested stages are told; -1: all.", metavar="N"),
    ],
    "quiet": Annotated[
        bool | None, typer.Option("--quiet", "-q", help="Tell warnings and errors only.")
    ],
    "workdir_path": Annotated[
        Path | None,
        typer.Option(
            "--workdir-path",
            "-w",
            metavar="DIR",
            help="The workdir. When absent: .lago here or in a directory above.",
        ),
    ],
    "prefix_name": Annotated[
        str | None,
        typer.Option("--prefix-name", "-P", metavar="NAME", help="The prefix in the workdir."),
    ],
    "host": Annotated[
        str | None,
        typer.Option("--host", metavar="HOST", help="auto, private, system or a libvirt URI."),
    ],
}

PARAMETERS = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    for name, annotation in _DECLARED.items()
)
"""The options as parameters of a function, for typer to read."""


def without_flags(parameter: inspect.Parameter, flags: Sequence[str]) -> inspect.Parameter:
    """Return a shared option that is not called by one of *flags*."""
    kind, option = get_args(parameter.annotation)
    left = tuple(name for name in option.param_decls if name not in flags)
    if left == tuple(option.param_decls):
        return parameter
    changed = copy.copy(option)
    changed.param_decls = left
    return parameter.replace(annotation=Annotated[kind, changed])


def set_parameters(function: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> None:
    """Make *function* look as if it were declared with *parameters*, which typer parses."""
    function.__dict__["__signature__"] = inspect.Signature(parameters)
    function.__annotations__ = {item.name: item.annotation for item in parameters}


TemplateRepoPath = Annotated[
    list[str] | None,
    typer.Option(
        "--template-repo-path",
        metavar="FILE|URL",
        help="A template repository to ask; may be given several times.",
    ),
]
TemplateRepoName = Annotated[
    str | None,
    typer.Option(
        "--template-repo-name",
        metavar="NAME",
        help="The repository of the directory template_repos to ask, by its name.",
    ),
]


def template_arguments(paths: list[str] | None, name: str | None) -> dict[str, object]:
    """Return the settings that the options of template repositories give."""
    return {"template_repo_path": ",".join(paths) if paths else None, "template_repo_name": name}
