"""How guests learn their names, keys and networks: chosen by what is known of their images.

What is known are the facts of an image: its template's metadata, what a look into it showed, and
over both what the init file says of the disk.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from lago_sdk.plan.models import is_remote
from lago_sdk.spec.disk import DiskFormat, EmptyDisk, FileDisk
from lago_sdk.spec.problems import Problem
from lago_sdk.spec.vm import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lago_sdk.plan.models import DiskPlan, Image
    from lago_sdk.spec.vm import VMSpec

FACT_BOOTSTRAP = "bootstrap"
"""Fact: the way that the image's maker wants; a value of `Bootstrap`."""
FACT_CLOUD_INIT = "cloud-init"
"""Fact: whether cloud-init is in the image, and not switched off."""
FACT_NOCLOUD = "nocloud"
"""Fact: whether something else reads NoCloud media there."""
FACT_ROOT = "root-filesystem"
"""Fact: ``ext4``, ``xfs``, ``btrfs``, ``LVM``, …"""
FACT_SYSTEMD = "systemd"
"""Fact: version of systemd, a number; ``false`` where another init is there."""
FACT_LOOK = "look"
"""Why nothing could be seen in the image; only where a look was tried."""

EXT = frozenset({"ext2", "ext3", "ext4"})
"""Root file systems that can be written to without an appliance."""
OLDEST_SYSTEMD = 252
"""The first one that takes keys and files as credentials."""
WRITERS = frozenset({Bootstrap.INJECT, Bootstrap.GUESTFS})
"""Ways that write to the VM's first disk."""
_NO_FACTS: Mapping[str, object] = MappingProxyType({})


@attrs.frozen
class Choice:
    """A way, and why it is taken."""

    road: Bootstrap
    reason: str


def choose_bootstrap(vm: VMSpec, disks: Sequence[DiskPlan], images: Mapping[str, Image]) -> Choice:
    """Return how the guest of *vm* is prepared; never ``AUTO``.

    Args:
        vm: What was asked.
        disks: Its disks, planned.
        images: As `lago_sdk.plan.planner.plan_prefix` takes them.
    """
    if vm.bootstrap is not Bootstrap.AUTO:
        return Choice(vm.bootstrap, "the init file says so")
    if is_remote(vm):
        return Choice(Bootstrap.NONE, "the machine is there already")
    if vm.user_data is not None:
        return Choice(Bootstrap.SEED, "its user-data is for cloud-init")
    if not has_guest(disks):
        return Choice(Bootstrap.SEED, "its first disk has no guest yet")
    if not disks[0].owned:
        return Choice(Bootstrap.SEED, "its first disk is used in place, and not written to")
    return choose_by_facts(find_facts(disks, images))


def choose_by_facts(facts: Mapping[str, object]) -> Choice:
    """Return the way for an image of which *facts* are known."""
    wish = find_wish(facts)
    if wish is not None:
        return Choice(wish, "the image's metadata says so")
    if facts.get(FACT_CLOUD_INIT) is True:
        return Choice(Bootstrap.SEED, "its image has cloud-init")
    if facts.get(FACT_NOCLOUD) is True:
        return Choice(Bootstrap.SEED, "its image reads NoCloud media")
    root = find_root(facts)
    is_known = FACT_CLOUD_INIT in facts or FACT_NOCLOUD in facts
    if root is None and not is_known:
        look = facts.get(FACT_LOOK, "nobody looked into its image, and metadata says nothing")
        return Choice(Bootstrap.SEED, str(look))
    without = "its image has no cloud-init" if is_known else "no cloud-init is known of its image"
    if root is None:
        return Choice(Bootstrap.INJECT, without)
    road = Bootstrap.INJECT if root in EXT else Bootstrap.GUESTFS
    return Choice(road, f"{without}, and its root file system is {root}")


def find_wish(facts: Mapping[str, object]) -> Bootstrap | None:
    """Return what the image's maker wants, or ``None``."""
    value = facts.get(FACT_BOOTSTRAP)
    wished = next((road for road in Bootstrap if road.value == value), None)
    return None if wished is Bootstrap.AUTO else wished


def find_root(facts: Mapping[str, object]) -> str | None:
    """Return the kind of the root file system, or ``None`` where it is not known."""
    value = facts.get(FACT_ROOT)
    return value if isinstance(value, str) and value else None


def find_facts(disks: Sequence[DiskPlan], images: Mapping[str, Image]) -> Mapping[str, object]:
    """Return what is known of the image of the first of *disks*."""
    if not disks:
        return _NO_FACTS
    spec, backing = disks[0].spec, disks[0].backing
    if backing is None and isinstance(spec, FileDisk):
        backing = images.get(spec.path or "")
    return {**(backing.metadata if backing is not None else {}), **spec.metadata}


def has_guest(disks: Sequence[DiskPlan]) -> bool:
    """Whether the first of *disks* comes with something: it is neither new nor an ISO image."""
    if not disks:
        return False
    return not isinstance(disks[0].spec, EmptyDisk) and disks[0].format is not DiskFormat.ISO


def check_bootstrap(
    vm: VMSpec, road: Bootstrap, disks: Sequence[DiskPlan], images: Mapping[str, Image]
) -> Iterator[Problem]:
    """Yield why the guest of *vm* cannot be prepared in the way *road*."""
    facts = find_facts(disks, images)
    found: tuple[str, str] | None = None
    if is_remote(vm):
        return
    if road in WRITERS:
        found = _check_disk(road, disks) or _check_root(road, facts)
    elif road is Bootstrap.CREDENTIALS:
        found = _check_systemd(facts) or _check_secrets(vm)
    if found is not None:
        message, hint = found
        yield Problem(
            message=f"{vm.name!r} cannot have 'bootstrap: {road.value}': {message}",
            path=("domains", vm.name, "bootstrap"),
            hint=hint,
            code="unfit-bootstrap",
        )


def _check_disk(road: Bootstrap, disks: Sequence[DiskPlan]) -> tuple[str, str] | None:
    if not has_guest(disks):
        return "its first disk has no guest to write to", "use 'bootstrap: seed' or 'none'"
    if not disks[0].owned:
        return (
            f"its first disk is used in place, and {road.value!r} writes to it",
            "add 'make_a_copy: true' to the disk",
        )
    return None


def _check_root(road: Bootstrap, facts: Mapping[str, object]) -> tuple[str, str] | None:
    root = find_root(facts)
    if road is Bootstrap.GUESTFS or root is None or root in EXT:
        return None
    message = f"the root file system of its image is {root}, and only ext4 is written to"
    return message, "use 'bootstrap: guestfs'"


def _check_systemd(facts: Mapping[str, object]) -> tuple[str, str] | None:
    version = facts.get(FACT_SYSTEMD)
    if version is False or (isinstance(version, int) and version < OLDEST_SYSTEMD):
        there = "no systemd" if version is False else f"systemd {version}"
        message = f"its image has {there}, and credentials take systemd {OLDEST_SYSTEMD} or later"
        return message, "use 'bootstrap: auto'"
    return None


def _check_secrets(vm: VMSpec) -> tuple[str, str] | None:
    if vm.root_password or vm.ssh_password:
        message = "everybody on the host could read its password there"
        return message, "leave the password out: the prefix's key is let in"
    return None
