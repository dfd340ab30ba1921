"""What was asked of one disk of a VM."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from lago_sdk.spec.keys import key


class DiskFormat(enum.Enum):
    """Format of a disk's image, in QEMU's words (``iso`` is a raw CD-ROM)."""

    QCOW2 = "qcow2"
    RAW = "raw"
    ISO = "iso"


class DiskBus(enum.Enum):
    """Controller a disk is on, in libvirt's words."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"


class DiskCache(enum.Enum):
    """Host cache mode of a disk, in QEMU's words."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"


class TemplateType(enum.Enum):
    """Where a template disk's backing file comes from."""

    LAGO = "lago"
    """The template store, by name and version."""
    QCOW2 = "qcow2"
    """A qcow2 file at a path of its own."""


@attrs.frozen(kw_only=True)
class BuildStep:
    """One run of an image builder over a disk."""

    builder: str
    """The builder's name; ``virt-customize`` is the only one."""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """Its options: one letter is a short option; an empty value is a flag; a list repeats."""


@attrs.frozen(kw_only=True)
class DiskSpec:
    """What all kinds of disk have in common."""

    name: str = attrs.field(
        default="",
        metadata=key("name", "Name of the disk in its VM; `disk<N>` when absent.", example="root"),
    )
    dev: str | None = attrs.field(
        default=None,
        metadata=key(
            "dev",
            "Device name, which also tells the bus: `vda` virtio, `sda` virtio-scsi, `hda` IDE. "
            "The next free one of the bus when absent.",
            example="vda",
        ),
    )
    format: DiskFormat = attrs.field(
        default=DiskFormat.QCOW2, metadata=key("format", "Format of the image.")
    )
    bus: DiskBus | None = attrs.field(
        default=None, metadata=key("bus", "Controller; told by `dev` when absent.")
    )
    serial: str | None = attrs.field(
        default=None,
        metadata=key("serial", "Serial number that the guest sees.", example="DISK0001"),
    )
    cache: DiskCache | None = attrs.field(
        default=None, metadata=key("cache", "Host cache mode; `writeback` when absent.")
    )
    metadata: Mapping[str, Any] = attrs.field(
        factory=dict, metadata=key("metadata", "Free-form facts; they win over the template's.")
    )
    build: tuple[BuildStep, ...] = attrs.field(
        default=(),
        metadata=key(
            "build", "Image builders to run over the disk, in order: a list of one-key maps."
        ),
    )
    skip_export: bool = attrs.field(
        default=False, metadata=key("skip-export", "Leave the disk out of exports.")
    )
    comment: str | None = attrs.field(
        default=None, metadata=key("comment", "A remark for readers of the file; not used.")
    )


@attrs.frozen(kw_only=True)
class TemplateDisk(DiskSpec):
    """A copy-on-write overlay of a template."""

    template_name: str | None = attrs.field(
        default=None,
        metadata=key("template_name", "Template in the store or a repository.", example="tiny"),
    )
    template_version: str | None = attrs.field(
        default=None,
        metadata=key("template_version", "Version of the template; the newest when absent."),
    )
    template_type: TemplateType = attrs.field(
        default=TemplateType.LAGO,
        metadata=key("template_type", "`lago`: by name from the store. `qcow2`: the file `path`."),
    )
    path: str | None = attrs.field(
        default=None,
        metadata=key("path", "For `template_type: qcow2`: the backing file.", example="base.qcow2"),
    )
    size: int | None = attrs.field(
        default=None,
        metadata=key(
            "size",
            "Size that the guest sees; the template's when absent. Never smaller than that.",
            unit="bytes",
            example="20G",
        ),
    )


@attrs.frozen(kw_only=True)
class EmptyDisk(DiskSpec):
    """A new disk without content."""

    size: int = attrs.field(
        metadata=key("size", "Size that the guest sees.", unit="bytes", example="10G")
    )


@attrs.frozen(kw_only=True)
class FileDisk(DiskSpec):
    """An image file of the user's own."""

    path: str | None = attrs.field(
        default=None,
        metadata=key("path", "The image, or where `url` is put.", example="images/data.qcow2"),
    )
    url: str | None = attrs.field(
        default=None, metadata=key("url", "Where the image is downloaded from.")
    )
    make_a_copy: bool = attrs.field(
        default=False,
        metadata=key(
            "make_a_copy", "Work on a sparse copy in the prefix; else the file itself is used."
        ),
    )
