"""The settings there are: their names, meanings and defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.config.values import (
    AccelChoice,
    LogLevel,
    OutFormat,
    Setting,
    parse_duration,
    parse_enum,
    parse_format,
    parse_host,
    parse_int,
    parse_list,
    parse_path,
    parse_seconds,
    parse_size,
)
from lago_sdk.events import Observer, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

_METADATA = "lago_setting"


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
            parse_host,
            "libvirt_url",
        ),
    )
    accel: AccelChoice = attrs.field(
        default=AccelChoice.AUTO,
        metadata=_setting(
            "What executes guests' instructions: auto (KVM where it works, else TCG), kvm or tcg.",
            parse_enum(AccelChoice),
        ),
    )
    workdir_path: Path | None = attrs.field(
        default=None,
        metadata=_setting(
            "The workdir. When absent it is searched: the directory itself, its .lago, then the "
            ".lago of each parent.",
            parse_path,
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
            "Where what can be made again is kept: capability caches, downloads.", parse_path
        ),
    )
    data_dir: Path = attrs.field(
        default=attrs.Factory(_data_dir),
        metadata=_setting("Where what is worth keeping is kept.", parse_path),
    )
    state_dir: Path = attrs.field(
        default=attrs.Factory(_state_dir),
        metadata=_setting("Where reports of unexpected errors are written.", parse_path),
    )
    run_dir: Path = attrs.field(
        default=attrs.Factory(_run_dir),
        metadata=_setting(
            "Where sockets of private hosts are made. Keep it short: a socket's path has at most "
            "107 bytes.",
            parse_path,
        ),
    )
    lease_dir: Path = attrs.field(
        default=Path("/var/lib/lago/subnets"),
        metadata=_setting(
            "Where prefixes on the system host reserve subnets. All users of the host share it.",
            parse_path,
        ),
    )
    template_store: Path = attrs.field(
        default=attrs.Factory(_template_store, takes_self=True),
        metadata=_setting("Where templates are kept; under data_dir when absent.", parse_path),
    )
    template_repo_path: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_setting(
            "Template repositories, as paths or URLs of their JSON files, separated by commas; "
            "those of template_repos when absent.",
            parse_list,
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
            parse_path,
        ),
    )
    catalogue_path: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_setting(
            "Catalogues of your own, as paths or URLs separated by commas; they win over the one "
            "that comes with lago_sdk.",
            parse_list,
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
            parse_seconds,
        ),
    )
    download_attempts: int = attrs.field(
        default=5,
        metadata=_setting(
            "Tries in a row to get something from a server of templates.", parse_int(1)
        ),
    )
    checkpoint_max_age: float = attrs.field(
        default=30 * 86400.0,
        metadata=_setting(
            "How long a checkpoint of the cache is kept that no lab is made of: seconds, or 12h, "
            "30d, 2w.",
            parse_duration,
        ),
    )
    checkpoint_max_size: int = attrs.field(
        default=20 * 1024**3,
        metadata=_setting(
            "What all checkpoints of the cache may take on the disk: bytes, or 500M, 20G. The "
            "least recently used go first.",
            parse_size,
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
        metadata=_setting("Seconds that one attempt to connect by ssh may take.", parse_seconds),
    )
    boot_timeout: float | None = attrs.field(
        default=None,
        metadata=_setting(
            "Seconds that a boot may take, for all VMs; each VM's boot_time_sec when absent.",
            parse_seconds,
        ),
    )
    shutdown_timeout: float = attrs.field(
        default=300.0,
        metadata=_setting(
            "Seconds that a guest may take to power off when asked to.", parse_seconds
        ),
    )
    lock_timeout: float = attrs.field(
        default=120.0,
        metadata=_setting(
            "Seconds to wait for another process that is changing the same prefix or template.",
            parse_seconds,
        ),
    )
    parallel_starts: int = attrs.field(
        default=0,
        metadata=_setting(
            "VMs that boot at the same time; 0 is as many as the host's processors are good for.",
            parse_int(0),
        ),
    )
    loglevel: LogLevel = attrs.field(
        default=LogLevel.INFO,
        metadata=_setting(
            "How much is told on standard error: debug, info, warning or error.",
            parse_enum(LogLevel),
            "log_level",
        ),
    )
    logdepth: int = attrs.field(
        default=3,
        metadata=_setting("How deep nested stages are told; -1 is all of them.", parse_int(-1)),
    )
    out_format: OutFormat | str | None = attrs.field(
        default=None,
        metadata=_setting(
            "How data is written: default, json, yaml or flat, or a format of a plugin. When "
            "absent: tables on a terminal, default elsewhere.",
            parse_format,
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
        from lago_sdk.config.gather import gather_values

        known = list_settings()
        values = gather_values(
            known, arguments or {}, env=env, files=files, verb=verb, observer=observer
        )
        return cls(**values)

    @property
    def workdir(self) -> Path:
        """The workdir that is made when none is named: ``workdir_path``, else ``.lago`` here."""
        return self.workdir_path or Path(".lago")

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints of labs are kept."""
        return self.cache_dir / "checkpoints"

    def render_ini(self) -> str:
        """Write all settings as a commented INI file: those at their default as comments."""
        from lago_sdk.config.render import render_ini

        defaults = type(self)()
        return render_ini(
            (name, setting, getattr(self, name), getattr(defaults, name))
            for name, setting in list_settings().items()
        )


def list_settings() -> Mapping[str, Setting]:
    """Return the settings there are, by name, in the order of the fields."""
    return {field.name: field.metadata[_METADATA] for field in attrs.fields(Config)}
