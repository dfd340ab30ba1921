"""Paths of the init file: what their variables and relative names mean.

All paths of a spec are settled once, before anything is planned: afterwards they are absolute,
whatever directory later verbs run in.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs

from lago_sdk.codec.expand import expand
from lago_sdk.errors import SpecError
from lago_sdk.spec.disk import DiskSpec, FileDisk, TemplateDisk, TemplateType
from lago_sdk.spec.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.spec.disk import BuildStep
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path as Place
    from lago_sdk.spec.vm import ShareSpec, VMSpec

T = TypeVar("T")

_OWN = ("LAGO_INITFILE_PATH", "LAGO_PREFIX_PATH", "LAGO_WORKDIR_PATH")
"""The variables that the library sets."""


def path_variables(
    spec: PrefixSpec, layout: PrefixLayout, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that paths of the init file may use."""
    variables = dict(environ)
    variables["LAGO_PREFIX_PATH"] = str(layout.path)
    variables["LAGO_WORKDIR_PATH"] = str(layout.path.parent)
    if spec.init_dir is not None:
        variables["LAGO_INITFILE_PATH"] = spec.init_dir
    return variables


def find_path(text: str, *, init_dir: str | None, variables: Mapping[str, str]) -> Path:
    """Return the absolute path that a path of the init file means.

    A relative path is looked for beside the init file first, then where we run; one that is in
    neither place is taken to be beside the init file.
    """
    path = Path(expand(text, variables))
    if path.is_absolute():
        return Path(os.path.normpath(path))
    beside = Path(os.path.normpath(Path(init_dir or ".", path).absolute()))
    here = Path(os.path.normpath(path.absolute()))
    return here if here.exists() and not beside.exists() else beside


def settle_paths(spec: PrefixSpec, variables: Mapping[str, str]) -> PrefixSpec:
    """Return *spec* with all its paths absolute and its URLs expanded.

    Raises:
        SpecError: Files or directories are not there; carries a problem for each.
    """
    settler = _Settler(spec.init_dir, variables)
    vms = tuple(settler.settle_vm(vm) for vm in spec.vms)
    if settler.problems:
        raise SpecError(settler.problems)
    return attrs.evolve(spec, vms=vms)


def _expand_all(value: object, variables: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return expand(value, variables)
    if isinstance(value, list | tuple):
        return [_expand_all(item, variables) for item in value]
    return value


def is_url(text: str) -> bool:
    """Whether *text* is a URL, and not a path."""
    return "://" in text


class _Settler:
    """Makes paths absolute, and notes what is not there."""

    def __init__(self, init_dir: str | None, variables: Mapping[str, str]) -> None:
        self._init_dir = init_dir
        self._variables = variables
        self.problems: list[Problem] = []

    def settle_vm(self, vm: VMSpec) -> VMSpec:
        place: Place = ("domains", vm.name)
        scripts = (*place, "metadata", "deploy-scripts")
        return attrs.evolve(
            vm,
            ova=self._file_or_url(vm.ova, (*place, "url"), "archive"),
            kernel=self._file(vm.kernel, (*place, "kernel"), "kernel"),
            ssh_key=self._file(vm.ssh_key, (*place, "ssh-key"), "private key"),
            initrd=self._file(vm.initrd, (*place, "initrd"), "initial RAM disk"),
            shares=tuple(
                self._settle_share(share, (*place, "shares", index, "source"))
                for index, share in enumerate(vm.shares)
            ),
            disks=tuple(
                self._settle_disk(disk, (*place, "disks", index))
                for index, disk in enumerate(vm.disks)
            ),
            deploy_scripts=tuple(
                self._file(script, (*scripts, index), "script")
                for index, script in enumerate(vm.deploy_scripts)
            ),
        )

    def _settle_share(self, share: ShareSpec, place: Place) -> ShareSpec:
        path = self._find(share.source)
        if not path.is_dir():
            self._tell(place, f"there is no directory {str(path)!r}", share.source, path)
        return attrs.evolve(share, source=str(path))

    def _settle_disk(self, disk: DiskSpec, place: Place) -> DiskSpec:
        if disk.build:
            steps = tuple(self._settle_step(step) for step in disk.build)
            disk = attrs.evolve(disk, build=steps)
        if isinstance(disk, TemplateDisk) and disk.template_type is TemplateType.QCOW2:
            return attrs.evolve(disk, path=self._file(disk.path, (*place, "path"), "image"))
        if not isinstance(disk, FileDisk):
            return disk
        if disk.url is None:
            return attrs.evolve(disk, path=self._file(disk.path, (*place, "path"), "image"))
        # What lies at the path already is not downloaded again.
        path = None if disk.path is None else str(self._find(disk.path))
        return attrs.evolve(
            disk, path=path, url=self._file_or_url(disk.url, (*place, "url"), "image")
        )

    def _settle_step(self, step: BuildStep) -> BuildStep:
        """Expand our own variables only: ``$HOME`` in a command is the guest's."""
        own = {name: self._variables[name] for name in _OWN if name in self._variables}
        options = {name: _expand_all(value, own) for name, value in step.options.items()}
        return attrs.evolve(step, options=options)

    def _file_or_url(self, text: str | None, place: Place, what: str) -> str | None:
        if text is None:
            return None
        expanded = expand(text, self._variables)
        return expanded if is_url(expanded) else self._file(text, place, what)

    def _file(self, text: T, place: Place, what: str) -> T | str:
        """Return the absolute path of a file; ``None`` stays what it is."""
        if not isinstance(text, str):
            return text
        path = self._find(text)
        if not path.is_file():
            self._tell(place, f"there is no {what} {str(path)!r}", text, path)
        elif not os.access(path, os.R_OK):
            self._tell(place, f"the {what} {str(path)!r} cannot be read", text, path)
        return str(path)

    def _find(self, text: str) -> Path:
        return find_path(text, init_dir=self._init_dir, variables=self._variables)

    def _tell(self, place: Place, message: str, text: str, path: Path) -> None:
        hint = None if str(path) == text else f"the init file says {text!r}"
        self.problems.append(Problem(message=message, path=place, hint=hint, code="missing-file"))
