"""Reads settings, as text, from INI files and the environment, and remembers where each stood."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SYSTEM_FILE = Path("/etc/lago/lago.conf")
_NOT_SETTINGS = frozenset({"initfile_path", "prefix_path"})
"""Variables that are set for scripts and init files: ``LAGO_INITFILE_PATH`` and so on."""

_SECTION = re.compile(r"\s*\[(?P<name>[^]]+)\]")
_OPTION = re.compile(r"(?P<name>[^\s#;\[][^=:]*?)\s*(?:[=:]|$)")


@attrs.frozen(kw_only=True)
class RawSetting:
    """A setting as it was written."""

    section: str
    name: str
    """In lower case."""
    value: str
    """Empty only where a variable of the environment is."""
    origin: str
    """Where it stood, for messages: ``FILE:LINE`` or the variable's name."""
    from_environment: bool = False


def list_setting_files() -> tuple[Path, ...]:
    """Return the files that may hold settings, in rising precedence, whether they exist or not."""
    from platformdirs import site_config_dir, user_config_path

    # XDG lists the most important directory first.
    site = site_config_dir("lago", multipath=True).split(":")
    folders = [*(Path(path) for path in reversed(site)), user_config_path("lago")]
    return (_SYSTEM_FILE, *(folder / "lago.conf" for folder in folders))


def read_files(files: Iterable[Path]) -> tuple[RawSetting, ...]:
    """Read the settings of all *files* that exist; ``[lago]`` of a file before its other sections.

    A name without a value counts as absent.

    Raises:
        ConfigError: A file cannot be read or is not INI.
    """
    found: list[RawSetting] = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the settings cannot be read: {error}") from error
        found += _parse_ini(path, text)
    return tuple(found)


def read_environment(env: Mapping[str, str]) -> tuple[RawSetting, ...]:
    """Return the settings among the variables *env*.

    ``LAGO_NAME`` is ``[lago] name``, ``LAGO__SECTION__NAME`` is ``[section] name``; the first
    double underscore ends the section.
    """
    found = []
    for variable, value in env.items():
        section, name = _split_variable(variable)
        if name and name not in _NOT_SETTINGS:
            found.append(
                RawSetting(
                    section=section,
                    name=name,
                    value=value,
                    origin=f"environment variable {variable}",
                    from_environment=True,
                )
            )
    return tuple(sorted(found, key=lambda item: item.section != "lago"))


def _split_variable(variable: str) -> tuple[str, str]:
    """Section and name that *variable* sets; an empty name when it sets none."""
    if variable.startswith("LAGO__"):
        section, _, name = variable.removeprefix("LAGO__").partition("__")
        return (section.lower(), name.lower()) if section else ("", "")
    if variable.startswith("LAGO_"):
        return "lago", variable.removeprefix("LAGO_").lower()
    return "", ""


def _parse_ini(path: Path, text: str) -> list[RawSetting]:
    parser = configparser.ConfigParser(interpolation=None, default_section="", allow_no_value=True)
    try:
        parser.read_string(text, source=str(path))
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(
            f"{path}:{error.lineno}: a setting stands before the first section",
            hint="put [lago] above it",
        ) from None
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.message.split(': ')[-1]}") from None
    except configparser.ParsingError as error:
        line = error.errors[0][0] if error.errors else 1
        raise ConfigError(
            f"{path}:{line}: this is neither a section nor a setting",
            hint="sections are [name], settings are name = value",
        ) from None
    lines = _index_lines(text)
    return [
        RawSetting(
            section=section.lower(),
            name=name,
            value=value,
            origin=f"{path}:{lines.get((section, name), 1)}",
        )
        for section in sorted(parser.sections(), key=lambda section: section != "lago")
        for name, value in parser[section].items()
        if value
    ]


def _index_lines(text: str) -> dict[tuple[str, str], int]:
    """Line of each setting, by section and lower-case name; configparser does not tell."""
    index: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _SECTION.match(line):
            section = found["name"]
        elif found := _OPTION.match(line):
            index.setdefault((section, found["name"].lower()), number)
    return index
