"""One run of a verb: its settings, its output, and what becomes of its errors."""

import dataclasses
import sys
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from lago_cli.options import LogLevel, Options

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lago_cli.output import Data
    from lago_cli.progress import ProgressLines
    from lago_sdk import Config, Prefix, Workdir

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

        chosen = self.config.out_format
        if chosen is None and (sys.stdout.isatty() or not lago_wrote_it):
            if tables:
                typer.echo(tables)
        else:
            typer.echo(render(data, "default" if chosen is None else chosen.value))

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
