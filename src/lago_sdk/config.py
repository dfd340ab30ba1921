"""Settings: defaults, then files, then the environment, then arguments; the later wins.

Files are INI with the section ``[lago]`` and, where a setting shall hold for one verb of the
command line only, a section of the verb's name. Lago's files and variables are understood:
``/etc/lago/lago.conf``, ``lago/lago.conf`` in the XDG directories, ``LAGO_NAME`` for ``[lago]
name`` and ``LAGO__SECTION__NAME`` for ``[section] name``.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.errors import ConfigError, suggest
from lago_sdk.events import Note, Observer, ignore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from lago_sdk.adapters.settings import RawSetting

_METADATA = "lago_setting"
ROOT_SECTION = "lago"
"""Section of the settings that hold for every verb."""


class AccelChoice(enum.Enum):
    """What shall execute guests' instructions."""

    AUTO = "auto"
    """KVM where it works, else TCG."""
    KVM = "kvm"
    TCG = "tcg"


class LogLevel(enum.Enum):
    """How much the command line tells on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OutFormat(enum.Enum):
    """How the command line writes data on standard output."""

    DEFAULT = "default"
    """Lago's indented text."""
    JSON = "json"
    YAML = "yaml"
    FLAT = "flat"
    """One ``path/to/key: value`` a line."""


@attrs.frozen(kw_only=True)
class Setting:
    """What a field of :class:`Config` means and how its text is read."""

    doc: str
    """A sentence or two; the comment in generated files."""
    parse: Callable[[str], object]
    """Text to value; raises ``ValueError`` with the words that complete "expected …"."""
    aliases: tuple[str, ...] = ()
    """Other names, Lago's mostly."""


def _parse_path(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser().absolute()


def _parse_enum(kind: type[enum.Enum]) -> Callable[[str], enum.Enum]:
    def parse(text: str) -> enum.Enum:
        try:
            return kind(text.lower())
        except ValueError:
            choices = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"one of: {choices}") from None

    return parse


def _parse_format(text: str) -> OutFormat | str:
    """Return the format; a word that is none of ours may be a plugin's."""
    try:
        return OutFormat(text.lower())
    except ValueError:
        return text


def _parse_int(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError("a whole number") from None
        if value < minimum:
            raise ValueError(f"a whole number of {minimum} or more")
        return value

    return parse


def _parse_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number of seconds") from None
    if not 0 < value < float("inf"):
        raise ValueError("a number of seconds above 0")
    return value


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_host(text: str) -> str:
    if text in {"auto", "private", "system"}:
        return text
    if text == "qemu:///system":
        return "system"
    if "://" in text:
        return text
    raise ValueError("auto, private, system or a libvirt URI such as qemu+ssh://root@lab7/system")


def _cache_dir() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("lago")


def _data_dir() -> Path:
    from platformdirs import user_data_path

    return user_data_path("lago")


def _state_dir() -> Path:
    from platformdirs import user_state_path

    return user_state_path("lago")


def _run_dir() -> Path:
    """Short, and gone after a reboot; platformdirs would warn where no session made one."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if base and os.access(base, os.W_OK):
            return Path(base, "lago")
    return Path(f"/tmp/lago-{os.getuid()}")  # noqa: S108 - made with mode 0700 and checked


def _template_store(config: Config) -> Path:
    return config.data_dir / "templates"


def _template_repos(config: Config) -> Path:
    return config.data_dir / "template-repos"


def _setting(doc: str, parse: Callable[[str], object], *aliases: str) -> Mapping[str, Setting]:
    return {_METADATA: Setting(doc=doc, parse=parse, aliases=aliases)}


@attrs.frozen(kw_only=True)
class Config:
    """Every setting of the library and the command line, with its default.

    Directories follow the XDG rules; their defaults are worked out when a Config is made.
    """

    host: str = attrs.field(
        default="auto",
        metadata=_setting(
            "Where VMs run: auto, private (namespaces of the prefix's own), system (the "
            "machine's qemu:///system) or a libvirt URI. auto is private where that is possible, "
            "else system.",
            _parse_host,
            "libvirt_url",
        ),
    )
    accel: AccelChoice = attrs.field(
        default=AccelChoice.AUTO,
        metadata=_setting(
            "What executes guests' instructions: auto (KVM where it works, else TCG), kvm or tcg.",
            _parse_enum(AccelChoice),
        ),
    )
    workdir_path: Path | None = attrs.field(
        default=None,
        metadata=_setting(
            "The workdir. When absent it is searched: the directory itself, its .lago, then the "
            ".lago of each parent.",
            _parse_path,
        ),
    )
    prefix_name: str = attrs.field(
        default="current",
        metadata=_setting(
            "The prefix of the workdir to work on; current is the one chosen by set-current.", str
        ),
    )
    cache_dir: Path = attrs.field(
        default=attrs.Factory(_cache_dir),
        metadata=_setting(
            "Where what can be made again is kept: capability caches, downloads.", _parse_path
        ),
    )
    data_dir: Path = attrs.field(
        default=attrs.Factory(_data_dir),
        metadata=_setting("Where what is worth keeping is kept.", _parse_path),
    )
    state_dir: Path = attrs.field(
        default=attrs.Factory(_state_dir),
        metadata=_setting("Where reports of unexpected errors are written.", _parse_path),
    )
    run_dir: Path = attrs.field(
        default=attrs.Factory(_run_dir),
        metadata=_setting(
            "Where sockets of private hosts are made. Keep it short: a socket's path has at most "
            "107 bytes.",
            _parse_path,
        ),
    )
    lease_dir: Path = attrs.field(
        default=Path("/var/lib/lago/subnets"),
        metadata=_setting(
            "Where prefixes on the system host reserve subnets. All users of the host share it.",
            _parse_path,
        ),
    )
    template_store: Path = attrs.field(
        default=attrs.Factory(_template_store, takes_self=True),
        metadata=_setting("Where templates are kept; under data_dir when absent.", _parse_path),
    )
    template_repo_path: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_setting(
            "Template repositories, as paths or URLs of their JSON files, separated by commas; "
            "those of template_repos when absent.",
            _parse_list,
        ),
    )
    template_repo_name: str | None = attrs.field(
        default=None,
        metadata=_setting(
            "The one repository of template_repos to use, by the name in its file; all when "
            "absent.",
            str,
        ),
    )
    template_repos: Path = attrs.field(
        default=attrs.Factory(_template_repos, takes_self=True),
        metadata=_setting(
            "Directory of template repositories (*.json) and catalogues (*.yaml); under data_dir "
            "when absent.",
            _parse_path,
        ),
    )
    catalogue_path: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_setting(
            "Catalogues of your own, as paths or URLs separated by commas; they win over the one "
            "that comes with lago_sdk.",
            _parse_list,
        ),
    )
    catalogue_mirror: str | None = attrs.field(
        default=None,
        metadata=_setting(
            "URL below which the vendors' files are mirrored: MIRROR/cloud.debian.org/... is "
            "asked in place of https://cloud.debian.org/...",
            str,
        ),
    )
    download_timeout: float = attrs.field(
        default=60.0,
        metadata=_setting(
            "Seconds that a server of templates may stay silent, also in the middle of a file.",
            _parse_seconds,
        ),
    )
    download_attempts: int = attrs.field(
        default=5,
        metadata=_setting(
            "Tries in a row to get something from a server of templates.", _parse_int(1)
        ),
    )
    default_root_password: str | None = attrs.field(
        default=None,
        metadata=_setting(
            "Password of root in guests whose init file sets none; none at all when absent.",
            str,
            "root_password",
        ),
    )
    ssh_user: str = attrs.field(
        default="root", metadata=_setting("User to log in as where a VM names none.", str)
    )
    ssh_password: str | None = attrs.field(
        default=None,
        metadata=_setting(
            "Password to log in with where a guest does not take the prefix's key.", str
        ),
    )
    ssh_timeout: float = attrs.field(
        default=10.0,
        metadata=_setting("Seconds that one attempt to connect by ssh may take.", _parse_seconds),
    )
    boot_timeout: float | None = attrs.field(
        default=None,
        metadata=_setting(
            "Seconds that a boot may take, for all VMs; each VM's boot_time_sec when absent.",
            _parse_seconds,
        ),
    )
    shutdown_timeout: float = attrs.field(
        default=300.0,
        metadata=_setting(
            "Seconds that a guest may take to power off when asked to.", _parse_seconds
        ),
    )
    lock_timeout: float = attrs.field(
        default=120.0,
        metadata=_setting(
            "Seconds to wait for another process that is changing the same prefix or template.",
            _parse_seconds,
        ),
    )
    parallel_starts: int = attrs.field(
        default=0,
        metadata=_setting(
            "VMs that boot at the same time; 0 is as many as the host's processors are good for.",
            _parse_int(0),
        ),
    )
    loglevel: LogLevel = attrs.field(
        default=LogLevel.INFO,
        metadata=_setting(
            "How much is told on standard error: debug, info, warning or error.",
            _parse_enum(LogLevel),
            "log_level",
        ),
    )
    logdepth: int = attrs.field(
        default=3,
        metadata=_setting("How deep nested stages are told; -1 is all of them.", _parse_int(-1)),
    )
    out_format: OutFormat | str | None = attrs.field(
        default=None,
        metadata=_setting(
            "How data is written: default, json, yaml or flat, or a format of a plugin. When "
            "absent: tables on a terminal, default elsewhere.",
            _parse_format,
            "format",
        ),
    )

    @classmethod
    def load(
        cls,
        arguments: Mapping[str, object] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        files: Iterable[Path] | None = None,
        verb: str | None = None,
        observer: Observer = ignore,
    ) -> Self:
        """Gather the settings from everywhere.

        Args:
            arguments: Values by name, of the field's type or as text; ``None`` means not given.
            env: The environment; the process's when ``None``.
            files: Files in rising precedence, absent ones skipped; ``/etc/lago/lago.conf`` and
                those of the XDG directories when ``None``.
            verb: The verb whose own section counts as well, for example ``"up"``.
            observer: Told of unknown names and empty variables.

        Raises:
            ConfigError: A file cannot be read, a value makes no sense, or there is no such
                argument.
        """
        from lago_sdk.adapters.settings import list_setting_files, read_environment, read_files

        raw = read_files(list_setting_files() if files is None else files)
        raw += read_environment(os.environ if env is None else env)
        values: dict[str, Any] = {}
        for item in raw:
            name = _find_name(item, observer)
            if name is not None:
                value = _parse_value(name, item.value, item.origin)
                if _applies(item, name, verb):
                    values[name] = value
        values.update(_check_arguments(arguments or {}))
        return cls(**values)

    @property
    def workdir(self) -> Path:
        """The workdir that is made when none is named: ``workdir_path``, else ``.lago`` here."""
        return self.workdir_path or Path(".lago")

    def render_ini(self) -> str:
        """Write all settings as a commented INI file: those at their default as comments."""
        defaults = type(self)()
        lines = [
            "# Settings of lago_sdk and lagoctl.",
            "# A section named after a verb, such as [up], overrides [lago] for that verb.",
            "",
            f"[{ROOT_SECTION}]",
        ]
        for field in attrs.fields(type(self)):
            value, default = getattr(self, field.name), getattr(defaults, field.name)
            lines += ["", *_wrap(field.metadata[_METADATA].doc)]
            mark = "#" if value == default else ""
            lines.append(f"{mark}{field.name} = {_render_value(value)}".rstrip())
        return "\n".join(lines) + "\n"


def list_settings() -> Mapping[str, Setting]:
    """Return the settings there are, by name, in the order of the fields."""
    return {field.name: field.metadata[_METADATA] for field in attrs.fields(Config)}


_LOGIN = "libvirt's own auth.conf holds the passwords of remote hosts"
_WITHOUT_EFFECT = {
    "libvirt_user": _LOGIN,
    "libvirt_username": _LOGIN,
    "libvirt_password": _LOGIN,
    "ssh_tries": "waits have deadlines: see boot_timeout and ssh_timeout",
    "reposync_dir": "it belonged to Lago's oVirt plugin",
    "ignore_warnings": "use loglevel = error",
    "default_vm_type": "the init file says it: vm-type",
    "default_vm_provider": "the init file says it: vm-provider",
}
"""Lago's settings that do nothing here, and why or what to use."""

_INIT_SETTINGS = frozenset(
    {"template_store", "template_repo_path", "template_repo_name", "template_repos"}
)
"""Lago kept these in ``[init]``; there they hold for every verb, as templates concern many."""


def _find_name(item: RawSetting, observer: Observer) -> str | None:
    """The field that *item* sets, or ``None`` after telling why there is none."""
    if not item.value:
        observer(Note(message=f"{item.origin} is empty and has no effect", warning=True))
        return None
    known = list_settings()
    name = item.name.replace("-", "_")
    if name in known:
        return name
    for field, setting in known.items():
        if name in setting.aliases:
            return field
    if name in _WITHOUT_EFFECT:
        observer(Note(message=f"{item.origin}: {name!r} has no effect: {_WITHOUT_EFFECT[name]}"))
        return None
    hint = suggest(name, known) or ""
    # Variables named LAGO_SOMETHING may be the user's own, meant for the init file.
    if not item.from_environment or hint.startswith("did you mean"):
        text = f"{item.origin}: there is no setting {name!r}"
        text += f"; {hint}" if hint.startswith("did you mean") else ""
        observer(Note(message=text, warning=True))
    return None


def _applies(item: RawSetting, name: str, verb: str | None) -> bool:
    if item.section == ROOT_SECTION or item.section == verb:
        return True
    return item.section == "init" and name in _INIT_SETTINGS


def _parse_value(name: str, text: str, origin: str) -> object:
    try:
        return list_settings()[name].parse(text)
    except ValueError as error:
        raise ConfigError(
            f"{origin}: {text!r} is no value for {name!r}", hint=f"expected {error}"
        ) from None


def _check_arguments(arguments: Mapping[str, object]) -> dict[str, object]:
    known = list_settings()
    values: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}", hint=suggest(name, known))
        if value is not None:
            is_text = isinstance(value, (str, Path))
            values[name] = _parse_value(name, str(value), "argument") if is_text else value
    return values


def _render_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value.value if isinstance(value, enum.Enum) else value)


def _wrap(text: str) -> list[str]:
    from textwrap import wrap

    return [f"# {line}" for line in wrap(text, 77)]
