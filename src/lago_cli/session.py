"""One run of a verb: its settings, its output, and what becomes of its errors."""

import dataclasses
import sys
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from lago_cli.options import Format, LogLevel, Options

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lago_cli.output import Data
    from lago_cli.progress import ProgressLines
    from lago_sdk import Config, InstalledPlugins, Prefix, Workdir

_FORMATS = tuple(item.value for item in Format)
_HOSTS = frozenset({"auto", "private", "system"})


class Session:
    """What a verb works with; as a context manager it turns errors into exit codes."""

    def __init__(self, options: Options, *, verb: str) -> None:
        self.options = options
        self._verb = verb
        self._arguments: dict[str, object] = {}

    # -- settings --------------------------------------------------------------------------

    def set_arguments(self, **arguments: object) -> None:
        """Add settings that an option of the verb itself gives; ``None`` is not given."""
        self._arguments.update(arguments)

    @cached_property
    def config(self) -> "Config":
        """The settings, from everywhere."""
        from lago_sdk import Config

        given = {key: value for key, value in self.options.arguments().items() if key != "quiet"}
        for key in ("loglevel", "out_format"):
            given[key] = None if given[key] is None else str(given[key])
        if self.options.quiet and self.options.loglevel is None:
            given["loglevel"] = "warning"
        config = Config.load({**given, **self._arguments}, verb=self._verb, observer=self.observer)
        self.observer.configure(level=config.loglevel.value, depth=config.logdepth)
        self.__dict__["config"] = config
        if isinstance(config.out_format, str):
            self._check_format(config.out_format)
        return config

    @cached_property
    def observer(self) -> "ProgressLines":
        """Writes what happens on standard error."""
        from lago_cli.progress import ProgressLines

        quiet = LogLevel.WARNING if self.options.quiet else LogLevel.INFO
        return ProgressLines(level=(self.options.loglevel or quiet).value)

    def take_host(self) -> str | None:
        """Return the VM that ``--host`` names, for a verb that Ansible calls so.

        Where it names a kind of host it stays the setting it is.
        """
        name = self.options.host
        if name is None or name in _HOSTS or "://" in name:
            return None
        self.options = dataclasses.replace(self.options, host=None)
        return name

    # -- where -----------------------------------------------------------------------------

    def find_workdir(self) -> "Workdir":
        """The workdir that is named, else the one here or above.

        Raises:
            PrefixNotFoundError: There is none.
        """
        from lago_sdk import Workdir

        path = self.config.workdir_path
        return Workdir.find() if path is None else Workdir.open(path)

    def open_prefix(self, workdir: "Path | None" = None) -> "Prefix":
        """The prefix that is named, else the current one.

        Args:
            workdir: Its workdir; that of the settings when ``None``.

        Raises:
            PrefixNotFoundError: There is none.
        """
        from lago_sdk import Prefix

        place = workdir or self.config.workdir_path
        return Prefix.open(
            place, self.config.prefix_name, config=self.config, observer=self.observer
        )

    # -- output ----------------------------------------------------------------------------

    def write(self, data: "Data", tables: str, *, lago_wrote_it: bool = False) -> None:
        """Write *data* on standard output in the format asked for.

        Args:
            data: Mappings, lists and scalars.
            tables: The same for people; written when no format was asked for.
            lago_wrote_it: Whether scripts may read what Lago wrote here: away from a terminal
                its form is then written in place of *tables*.
        """
        from lago_cli.output import render

        chosen = self.format
        if chosen is None and (sys.stdout.isatty() or not lago_wrote_it):
            if tables:
                typer.echo(tables)
        elif chosen is None or chosen in _FORMATS:
            typer.echo(render(data, chosen or "default"))
        else:
            typer.echo(self._render_by_plugin(data, chosen))

    @cached_property
    def format(self) -> str | None:
        """The format that was asked for: one of ours, or of a plugin."""
        chosen = self.config.out_format
        return chosen if chosen is None or isinstance(chosen, str) else str(chosen.value)

    def _check_format(self, name: str) -> None:
        """Look before the verb does anything whether its results can be written.

        Raises:
            LagoError: There is no format of that name.
        """
        from lago_sdk import LagoError, PluginKind

        known = (*_FORMATS, *self._plugins.list_names(PluginKind.OUTPUT))
        if name not in known:
            message = f"there is no output format {name!r}"
            raise LagoError(message, hint=f"there are: {', '.join(known)}")

    def _render_by_plugin(self, data: "Data", name: str) -> str:
        from lago_sdk import LagoError, PluginKind

        def make_text(function: object) -> str:
            if not callable(function):
                raise TypeError(f"{function!r} cannot be called")
            text = function(data)
            if not isinstance(text, str):
                raise TypeError(f"it made no text, but {type(text).__name__}")
            return text

        text = self._plugins.find(PluginKind.OUTPUT, name, make_text)
        if text is None:
            message = f"the plugin of the output format {name!r} does not work"
            raise LagoError(message, hint=f"take one of ours: {', '.join(_FORMATS)}")
        return text

    @cached_property
    def _plugins(self) -> "InstalledPlugins":
        from lago_sdk import open_plugins

        return open_plugins(config=self.config, observer=self.observer)

    def say(self, message: str) -> None:
        """Tell the user something on standard error, unless told to be quiet."""
        self.observer.say(message)

    # -- errors ----------------------------------------------------------------------------

    def __enter__(self) -> "Self":
        """Return the session itself."""
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        """Tell the user of an error and end with its exit code."""
        if "observer" in self.__dict__:
            self.observer.end_progress()
        if error is None or isinstance(error, (typer.Exit, typer.Abort)):
            return
        from lago_cli.failures import report

        code = report(error, is_debug=self.observer.is_debug)
        if code is not None:
            raise typer.Exit(code) from None
