"""What the init file says that no single field of a model tells.

Most of the language stands beside the fields (:mod:`lago_sdk.spec.keys`). Here is the rest: keys
that choose between models, keys that Lago wrote itself, and values with a form of their own.
"""

from __future__ import annotations

from lago_sdk.spec.disk import DiskSpec, EmptyDisk, FileDisk, TemplateDisk
from lago_sdk.spec.keys import Key
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import VMSpec

BASED_ON = Key(
    name="based-on",
    doc="Prototype (or a list of them, the first wins; or a map) whose keys this one takes "
    "over where it lacks them, whole top-level keys at a time.",
    example="base",
    lago="Lago never looked names up, in spite of its documentation",
)
DOMAIN_TYPE = Key(
    name="type",
    doc="`ova`: the machine is imported from the archive at `url`.",
    choices=("ova",),
)
DISK_TYPE = Key(
    name="type",
    doc="What the disk is made from; told by its other keys when absent.",
    choices=("template", "empty", "file"),
)
DEPLOY_SCRIPTS = Key(
    name="deploy-scripts",
    doc="Scripts of the host that `deploy` runs in the guest, in order.",
    aliases=("ovirt-scripts",),
    example="[scripts/setup.sh]",
)

FROM_ARCHIVE = ("memory", "vcpu")
"""Fields that are 0 in a domain of ``type: ova`` without the keys: the archive says them."""

DISK_TYPES: dict[str, type[DiskSpec]] = {
    "template": TemplateDisk,
    "empty": EmptyDisk,
    "file": FileDisk,
}

SILENT_KEYS: dict[type, frozenset[str]] = {
    VMSpec: frozenset({"name", "mgmt_net", "snapshots", "guest-agent", "cpu"}),
    NicSpec: frozenset({"mtu"}),
    NetSpec: frozenset({"name", "mapping", "dns_forward"}),
    TemplateDisk: frozenset({"type"}),
    EmptyDisk: frozenset({"type"}),
    FileDisk: frozenset({"type"}),
}
"""Keys that are taken without a word and do nothing: those that Lago wrote into files itself
(and ``cpu`` of its first versions), and the disk's ``type``, which has been read already."""

SERVICE_CLASSES = {
    "SystemdService": "systemd",
    "SysVInitService": "sysvinit",
    "SystemdContainerService": "systemdcontainer",
}
"""Values of the old key ``service_class`` and what they are called now."""

EXTENSION_PREFIX = "x-"
"""Keys that start so are the user's own, everywhere."""
