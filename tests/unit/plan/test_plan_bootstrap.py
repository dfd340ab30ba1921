"""Which way guests are prepared, and why."""

import attrs
import pytest

from lago_sdk.errors import SpecError
from lago_sdk.plan.models import Image
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import (
    Bootstrap,
    DiskFormat,
    EmptyDisk,
    FileDisk,
    PrefixSpec,
    TemplateDisk,
    VMSpec,
)

UUID = "deadbeef0123456789abcdef01234567"
TEMPLATE = TemplateDisk(template_name="base")
COPY = FileDisk(path="/img/own.qcow2", make_a_copy=True)


def plan_vm(disks=(TEMPLATE,), facts=None, **values):
    """The plan of one VM, whose image has *facts*."""
    images = {}
    if facts is not None:
        image = Image(path="/store/base", size=1, metadata=facts)
        images = {"base": image, "/img/own.qcow2": image}
    spec = PrefixSpec(vms=(VMSpec(name="web", disks=disks, **values),))
    return plan_prefix(spec, uuid=UUID, images=images).vms[0]


EXT = {"root-filesystem": "ext4"}


@pytest.mark.parametrize(
    ("facts", "road", "reason"),
    [
        ({"cloud-init": True}, "seed", "its image has cloud-init"),
        ({"cloud-init": True, **EXT}, "seed", "its image has cloud-init"),
        ({"cloud-init": False, "nocloud": True}, "seed", "its image reads NoCloud media"),
        ({"cloud-init": False, **EXT}, "inject",
         "its image has no cloud-init, and its root file system is ext4"),
        ({"cloud-init": False, "root-filesystem": "xfs"}, "guestfs",
         "its image has no cloud-init, and its root file system is xfs"),
        ({"root-filesystem": "LVM"}, "guestfs",
         "no cloud-init is known of its image, and its root file system is LVM"),
        ({"cloud-init": False}, "inject", "its image has no cloud-init"),
        ({"bootstrap": "credentials", "cloud-init": True}, "credentials",
         "the image's metadata says so"),
        ({"bootstrap": "auto", "cloud-init": True}, "seed", "its image has cloud-init"),
        ({"bootstrap": "nonsense", "cloud-init": True}, "seed", "its image has cloud-init"),
        ({"look": "its image cannot be looked into: in use"}, "seed",
         "its image cannot be looked into: in use"),
        ({"distro": "debian"}, "seed",
         "nobody looked into its image, and metadata says nothing"),
        (None, "seed", "nobody looked into its image, and metadata says nothing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("disk", [TEMPLATE, COPY], ids=["template", "copy"])
def test_auto_goes_by_what_is_known_of_the_image(facts, road, reason, disk):
    found = plan_vm((disk,), facts)
    assert (found.bootstrap, found.bootstrap_reason) == (Bootstrap(road), reason)
    assert (found.seed is None) == (road != "seed")


def test_what_the_init_file_says_of_the_disk_wins():
    disk = attrs.evolve(TEMPLATE, metadata={"cloud-init": False, "root-filesystem": "ext3"})
    assert plan_vm((disk,), {"cloud-init": True}).bootstrap is Bootstrap.INJECT


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"user_data": "#!/bin/sh\n"}, "its user-data is for cloud-init"),
        ({"disks": ()}, "its first disk has no guest yet"),
        ({"disks": (EmptyDisk(size=1 << 20),)}, "its first disk has no guest yet"),
        ({"disks": (FileDisk(path="/i", format=DiskFormat.ISO, make_a_copy=True),)},
         "its first disk has no guest yet"),
        ({"disks": (FileDisk(path="/img/own.qcow2"),)},
         "its first disk is used in place, and not written to"),
    ],
)  # fmt: skip
def test_some_are_given_a_seed_whatever_the_image(values, reason):
    found = plan_vm(**{"facts": {"cloud-init": False, **EXT}, **values})
    assert (found.bootstrap, found.bootstrap_reason) == (Bootstrap.SEED, reason)


def test_what_is_asked_for_is_done():
    found = plan_vm(facts={"cloud-init": True, **EXT}, bootstrap=Bootstrap.INJECT)
    assert (found.bootstrap, found.bootstrap_reason) == (Bootstrap.INJECT, "the init file says so")


@pytest.mark.parametrize(
    ("road", "facts", "values", "message"),
    [
        ("inject", {"root-filesystem": "xfs"}, {},
         "the root file system of its image is xfs, and only ext4 is written to"),
        ("inject", {"root-filesystem": "LVM"}, {},
         "the root file system of its image is LVM, and only ext4 is written to"),
        ("inject", {}, {"disks": ()}, "its first disk has no guest to write to"),
        ("guestfs", {}, {"disks": (EmptyDisk(size=1),)}, "its first disk has no guest to write to"),
        ("guestfs", {}, {"disks": (FileDisk(path="/i"),)},
         "its first disk is used in place, and 'guestfs' writes to it"),
        ("credentials", {"systemd": 241}, {},
         "its image has systemd 241, and credentials take systemd 252 or later"),
        ("credentials", {"systemd": False}, {},
         "its image has no systemd, and credentials take systemd 252 or later"),
        ("credentials", {"systemd": 252}, {"root_password": "x"},
         "everybody on the host could read its password there"),
    ],
)  # fmt: skip
def test_a_wrong_choice_says_why(road, facts, values, message):
    with pytest.raises(SpecError) as caught:
        plan_vm(**{"facts": facts, "bootstrap": Bootstrap(road), **values})
    (problem,) = caught.value.problems
    assert problem.message == f"'web' cannot have 'bootstrap: {road}': {message}"
    assert problem.path == ("domains", "web", "bootstrap")
    assert problem.hint


@pytest.mark.parametrize(
    ("road", "facts"),
    [
        ("inject", EXT),
        ("inject", {}),
        ("guestfs", {"root-filesystem": "xfs"}),
        ("credentials", {"systemd": 252}),
        ("credentials", {}),
        ("credentials", {"systemd": 257, "root-filesystem": "xfs"}),
    ],
)
def test_what_may_work_is_let_pass(road, facts):
    assert plan_vm(facts=facts, bootstrap=Bootstrap(road)).bootstrap is Bootstrap(road)


def test_machines_of_others_are_not_judged():
    found = plan_vm((), bootstrap=Bootstrap.INJECT, vm_provider="ssh")
    assert found.bootstrap is Bootstrap.INJECT
