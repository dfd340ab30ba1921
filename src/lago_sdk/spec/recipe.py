"""What a recipe file asks for: a template made from a base and some changes."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lago_sdk.spec.keys import key

if TYPE_CHECKING:
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

_MEBIBYTE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_MIRROR = re.compile(r"deb .+|[a-z][a-z0-9+]*://\S+")
_MODE = re.compile(r"[0-7]{3,4}")


class Base(enum.Enum):
    """What a recipe starts from."""

    DEBIAN_12 = "debian-12"
    """Debian 12 with systemd, cloud-init, the QEMU guest agent and OpenSSH."""
    TINY = "tiny"
    """Debian's kernel with busybox and dropbear; packages are unpacked into it."""


_MIN_SIZES = {Base.DEBIAN_12: 1 << 30, Base.TINY: 256 << 20}
"""Bytes of the smallest disk that each fits on with some room."""
_NOT_IN_TINY = ("suite", "mirror", "remove", "run", "kernel")
"""Keys that need a base whose packages are installed."""


@attrs.frozen(kw_only=True)
class RecipeFile:
    """A file to be put into the guest; owned by root."""

    path: str = attrs.field(
        metadata=key("path", "Absolute path in the guest.", example="/etc/motd")
    )
    content: str | None = attrs.field(default=None, metadata=key("content", "Its text."))
    source: str | None = attrs.field(
        default=None,
        metadata=key("source", "Or the file to copy; a relative path is beside the recipe."),
    )
    mode: str = attrs.field(
        default="0644", metadata=key("mode", "Its mode, an octal number.", example='"0755"')
    )


@attrs.frozen(kw_only=True)
class RecipeSpec:
    """One recipe file."""

    name: str = attrs.field(metadata=key("name", "Name of the template.", example="nginx"))
    base: Base = attrs.field(
        default=Base.DEBIAN_12, metadata=key("base", "What it starts from.", example="debian-12")
    )
    suite: str | None = attrs.field(
        default=None, metadata=key("suite", "Debian's suite; that of the base when absent.")
    )
    mirror: tuple[str, ...] = attrs.field(
        default=(),
        metadata=key(
            "mirror",
            "Where packages come from: URLs, or whole lines of `sources.list`. Debian's own "
            "mirrors, with updates and security fixes, when absent.",
            example="http://deb.debian.org/debian",
        ),
    )
    packages: tuple[str, ...] = attrs.field(
        default=(),
        metadata=key(
            "packages", "Packages to install, with those they need; `NAME` or `NAME=VERSION`."
        ),
    )
    remove: tuple[str, ...] = attrs.field(
        default=(), metadata=key("remove", "Packages of the base to leave out.")
    )
    files: tuple[RecipeFile, ...] = attrs.field(
        default=(), metadata=key("files", "Files to put in, before `run`.")
    )
    run: tuple[str, ...] = attrs.field(
        default=(),
        metadata=key("run", "Shell commands run in the guest's file system as root, in order."),
    )
    size: int | None = attrs.field(
        default=None,
        metadata=key(
            "size", "Size of the disk; that of the base when absent.", unit="bytes", example="10G"
        ),
    )
    kernel: str | None = attrs.field(
        default=None,
        metadata=key(
            "kernel",
            "Package of the kernel; the base's, made for VMs, when absent.",
            example="linux-image-amd64",
        ),
    )
    cmdline: str | None = attrs.field(
        default=None,
        metadata=key("cmdline", "Further options for the kernel.", example="debug"),
    )
    metadata: Mapping[str, Any] = attrs.field(
        factory=dict, metadata=key("metadata", "Facts of the template; they win over the base's.")
    )
    comment: str | None = attrs.field(
        default=None, metadata=key("comment", "A remark for readers of the file; not used.")
    )


def check_recipe(spec: RecipeSpec, sink: Sink) -> None:
    """Put what is wrong with the values of *spec* into *sink*."""
    if not _NAME.fullmatch(spec.name):
        hint = "letters, digits and . _ + ~ - are allowed; the first is a letter or digit"
        sink.error(
            ("name",), f"{spec.name!r} cannot be a template's name", hint=hint, code="bad-name"
        )
    if spec.name in {base.value for base in Base}:
        message = f"{spec.name!r} is the name of a recipe that comes with lago_sdk"
        sink.error(("name",), message, hint="choose another name", code="name-taken")
    if spec.suite is not None and not _SUITE.fullmatch(spec.suite):
        sink.error(("suite",), f"{spec.suite!r} is not a suite's name", code="bad-value")
    for index, mirror in enumerate(spec.mirror):
        if not _MIRROR.fullmatch(mirror):
            hint = "for example http://deb.debian.org/debian"
            sink.error(
                ("mirror", index), f"{mirror!r} is not a mirror", hint=hint, code="bad-value"
            )
    _check_base(spec, sink)
    _check_packages(spec, sink)
    for index, file in enumerate(spec.files):
        _check_file(file, ("files", index), sink)
    _check_disk(spec, sink)


def _check_base(spec: RecipeSpec, sink: Sink) -> None:
    if spec.base is not Base.TINY:
        return
    for field in _NOT_IN_TINY:
        if getattr(spec, field):
            message = f"a recipe on the base 'tiny' has no {field!r}"
            hint = "its packages are unpacked, not installed; take the base debian-12 for that"
            sink.error((field,), message, hint=hint, code="not-for-base")


def _check_packages(spec: RecipeSpec, sink: Sink) -> None:
    named: list[tuple[Path, str]] = []
    for field in ("packages", "remove"):
        named += [((field, index), name) for index, name in enumerate(getattr(spec, field))]
    if spec.kernel is not None:
        named.append((("kernel",), spec.kernel))
    for path, name in named:
        if not _PACKAGE.fullmatch(name):
            sink.error(path, f"{name!r} is not a package's name", code="bad-value")


def _check_file(file: RecipeFile, path: Path, sink: Sink) -> None:
    steps = file.path.split("/")
    if not file.path.startswith("/") or file.path.endswith("/") or {"..", "."} & set(steps):
        message = f"{file.path!r} is not the absolute path of a file"
        sink.error((*path, "path"), message, code="bad-value")
    if (file.content is None) == (file.source is None):
        message = "a file has either 'content' or 'source'"
        sink.error(path, message, code="bad-value")
    if not _MODE.fullmatch(file.mode):
        hint = "three or four octal digits, for example 0755"
        sink.error((*path, "mode"), f"{file.mode!r} is not a mode", hint=hint, code="bad-value")


def _check_disk(spec: RecipeSpec, sink: Sink) -> None:
    least = _MIN_SIZES[spec.base]
    if spec.size is not None and (spec.size < least or spec.size % _MEBIBYTE):
        message = f"{spec.size} bytes is too small, or not a whole number of MiB"
        hint = f"{least // _MEBIBYTE}M or more"
        sink.error(("size",), message, hint=hint, code="bad-value")
    if spec.cmdline is not None and not (spec.cmdline.isascii() and spec.cmdline.isprintable()):
        sink.error(("cmdline",), "it has more than printable ASCII in one line", code="bad-value")
