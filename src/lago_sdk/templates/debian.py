"""Debian packages as raw material: fetched with apt, unpacked, never installed."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.adapters.process import run
from lago_sdk.errors import TemplateError, ToolError, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_LISTS = re.compile(r"Unable to locate package|No packages found|Can't find a source")
_NO_NETWORK = re.compile(r"Failed to fetch|Temporary failure|Could not (resolve|connect)")


@attrs.frozen(kw_only=True)
class Package:
    """A package that has been fetched."""

    name: str
    version: str
    path: Path
    """The ``.deb`` file."""


class Apt:
    """Asks apt and fetches with it; works for any user, and leaves the system's apt alone.

    Args:
        directory: An empty directory for apt's cache and for what is fetched.
        arch: Debian's name of the architecture.
    """

    def __init__(self, directory: Path, *, arch: str) -> None:
        self._directory = directory
        self._arch = arch
        # With a cache of its own the second call does not read the package lists again.
        # As root apt would fetch as user _apt, who cannot write here, and says so every time.
        self._options = (
            f"-oDir::Cache={directory}/cache",
            "-oDir::Cache::pkgcache=pkgcache.bin",
            "-oDir::Cache::srcpkgcache=srcpkgcache.bin",
            "-oDebug::NoLocking=1",
            "-oAPT::Sandbox::User=root",
        )
        (directory / "cache").mkdir()

    def get_dependency(self, package: str, pattern: str) -> str:
        """Return the first dependency of *package* that matches the whole of *pattern*.

        Raises:
            TemplateError: The package or the dependency is not known to apt.
        """
        record = self._run(["apt-cache", *self._options, "show", "--no-all-versions", package])
        for line in record.splitlines():
            field, _, value = line.partition(":")
            if field == "Depends":
                names: list[str] = re.findall(r"(?:^|[,|])\s*([^\s,|(]+)", value)
                found = next((name for name in names if re.fullmatch(pattern, name)), None)
                if found:
                    return found
        raise TemplateError(f"the package {package!r} depends on nothing like {pattern!r}")

    def fetch(self, names: Sequence[str]) -> tuple[Package, ...]:
        """Fetch packages, where no version is given in that which apt would install.

        apt checks their digests.

        Args:
            names: ``NAME`` or ``NAME=VERSION``.

        Raises:
            TemplateError: A package is not known to apt, or cannot be fetched.
        """
        debs = Path(tempfile.mkdtemp(prefix="debs-", dir=self._directory))
        wanted = [_qualify(name, self._arch) for name in names]
        self._run(["apt-get", *self._options, "-q", "download", *wanted], cwd=debs)
        packages = [_parse_package(path) for path in sorted(debs.glob("*.deb"))]
        wanted_names = {name.partition("=")[0] for name in names}
        missing = wanted_names - {package.name for package in packages}
        if missing:
            raise TemplateError(f"apt did not fetch {', '.join(sorted(missing))}")
        return tuple(packages)

    def list_needed(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return packages and all that they depend on, as ``NAME=VERSION``.

        Args:
            names: ``NAME`` or ``NAME=VERSION``.

        Raises:
            TemplateError: A package is not known to apt, or cannot be had with the others.
        """
        nothing = self._directory / "nothing"
        nothing.touch()
        argv = ["apt-get", *self._options, "-qq", "--simulate", "--no-install-recommends"]
        argv += [f"-oDir::State::status={nothing}", f"-oAPT::Architecture={self._arch}", "install"]
        found = re.findall(r"^Inst (\S+) \((\S+)", self._run([*argv, *names]), re.MULTILINE)
        return tuple(f"{name.partition(':')[0]}={version}" for name, version in found)

    def _run(self, argv: Sequence[str], cwd: Path | None = None) -> str:
        environ = {**os.environ, "LC_ALL": "C"}
        try:
            return run(argv, cwd=cwd, env=environ).out
        except ToolError as error:
            hint = None
            if _NO_LISTS.search(error.output):
                hint = "apt has no package lists: run `sudo apt-get update` first"
            elif _NO_NETWORK.search(error.output):
                hint = "the package mirror cannot be reached"
            message = f"{argv[0]} failed: {shorten(error.output, 400)}"
            raise TemplateError(message, hint=hint) from error


def unpack(packages: Sequence[Package], directory: Path) -> None:
    """Unpack the files of *packages* over each other in *directory*.

    Raises:
        TemplateError: A package is damaged.
    """
    for package in packages:
        try:
            run(["dpkg-deb", "-x", str(package.path), str(directory)])
        except ToolError as error:
            raise TemplateError(f"cannot unpack {package.path.name}: {error.output}") from error


def _qualify(name: str, arch: str) -> str:
    """Return ``NAME:ARCH`` or ``NAME:ARCH=VERSION``."""
    plain, equals, version = name.partition("=")
    return f"{plain}:{arch}{equals}{version}"


def _parse_package(path: Path) -> Package:
    """Return the package of a file that apt fetched: NAME_VERSION_ARCH.deb, ``:`` as ``%3a``."""
    name, version, _ = path.name.split("_", 2)
    return Package(name=name, version=version.replace("%3a", ":"), path=path)
