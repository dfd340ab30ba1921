"""Files that a spec names and that are not there."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from lago_sdk.codec.expand import expand
from lago_sdk.codec.language import DEPLOY_SCRIPTS
from lago_sdk.spec.disk import FileDisk, TemplateDisk, TemplateType
from lago_sdk.spec.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path, Problem
    from lago_sdk.spec.vm import VMSpec


def check_files(spec: PrefixSpec, environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return a problem for each script, image, kernel and directory that does not exist.

    A relative path is looked for beside the init file, then in the working directory. A path
    with a variable that is not known yet (``$LAGO_PREFIX_PATH`` of a prefix that is not made) is
    passed over.

    Args:
        spec: The spec; its ``init_dir`` is what ``$LAGO_INITFILE_PATH`` means.
        environ: Values of variables.
    """
    variables = dict(environ)
    if spec.init_dir is not None:
        variables["LAGO_INITFILE_PATH"] = spec.init_dir
    sink = Sink()
    exists: dict[str, bool] = {}
    for vm in spec.vms:
        for path, what, text in _named_files(vm):
            found = expand(text, variables)
            if "$" in found or not found:
                continue
            if found not in exists:
                exists[found] = _exists(found, spec.init_dir)
            if not exists[found]:
                hint = _hint(text, found)
                sink.error(path, f"there is no {what} {found!r}", hint=hint, code="missing-file")
    return tuple(sink.problems)


def _named_files(vm: VMSpec) -> Iterator[tuple[Path, str, str]]:
    """Yield path, kind and text of everything on the host's disk that *vm* needs."""
    top = ("domains", vm.name)
    for index, script in enumerate(vm.deploy_scripts):
        yield (*top, "metadata", DEPLOY_SCRIPTS.name, index), "script", script
    for index, disk in enumerate(vm.disks):
        place = (*top, "disks", index, "path")
        if isinstance(disk, FileDisk) and disk.path and disk.url is None:
            yield place, "image", disk.path
        elif isinstance(disk, TemplateDisk) and disk.template_type is TemplateType.QCOW2:
            yield place, "image", disk.path or ""
    for name, text in (("kernel", vm.kernel), ("initrd", vm.initrd), ("ssh-key", vm.ssh_key)):
        if text is not None:
            yield (*top, name), "file", text
    for index, share in enumerate(vm.shares):
        yield (*top, "shares", index, "source"), "directory", share.source


def _exists(found: str, init_dir: str | None) -> bool:
    path = FilePath(found)
    if path.is_absolute():
        return path.exists()
    return (init_dir is not None and FilePath(init_dir, path).exists()) or path.exists()


def _hint(text: str, found: str) -> str | None:
    if text != found:
        return f"it is written {text!r}"
    return None if FilePath(found).is_absolute() else "looked for beside the init file and here"
