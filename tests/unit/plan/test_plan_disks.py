"""The plan of a VM's disks."""

import pytest

from lago_sdk.plan.disks import plan_disks
from lago_sdk.plan.models import Image
from lago_sdk.spec import (
    DiskBus,
    DiskFormat,
    EmptyDisk,
    FileDisk,
    TemplateDisk,
    TemplateType,
    VMSpec,
)

TINY = Image(path="/store/tiny", size=1)
OLD = Image(path="/store/tiny-1", size=1)
OWN = Image(path="/home/me/base.qcow2", size=1)
IMAGES = {"tiny": TINY, "tiny:1": OLD, "$HERE/base.qcow2": OWN}


def plan(*disks, name="web", machine=None, stems=None):
    vm = VMSpec(name=name, machine=machine, disks=disks)
    return plan_disks(vm, IMAGES, set() if stems is None else stems)


@pytest.mark.parametrize(
    ("disk", "template", "backing"),
    [
        (TemplateDisk(template_name="tiny"), "tiny", TINY),
        (TemplateDisk(template_name="tiny", template_version="1"), "tiny:1", OLD),
        (TemplateDisk(template_name="tiny", template_version="2"), "tiny:2", None),
        (TemplateDisk(template_type=TemplateType.QCOW2, path="$HERE/base.qcow2"), None, OWN),
        (TemplateDisk(template_type=TemplateType.QCOW2, path="other.qcow2"), None, None),
        (EmptyDisk(size=1), None, None),
    ],
)
def test_what_a_disk_is_made_on(disk, template, backing):
    found = plan(disk)[0]
    assert (found.template, found.backing) == (template, backing)
    assert found.owned


@pytest.mark.parametrize(
    ("disk", "path", "owned"),
    [
        (TemplateDisk(template_name="tiny", name="root"), "images/web_root.qcow2", True),
        (EmptyDisk(size=1, format=DiskFormat.RAW, name="data"), "images/web_data.raw", True),
        (FileDisk(path="$HERE/x.qcow2"), "$HERE/x.qcow2", False),
        (FileDisk(path="/abs/x.iso", format=DiskFormat.ISO), "/abs/x.iso", False),
        (FileDisk(path="x.qcow2", make_a_copy=True, name="c"), "images/web_c.qcow2", True),
        (FileDisk(url="http://h/x.raw", format=DiskFormat.RAW), "images/web_disk0.raw", True),
    ],
)
def test_where_its_image_is(disk, path, owned):
    found = plan(disk)[0]
    assert (found.path, found.owned) == (path, owned)


def test_an_overlay_is_qcow2_whatever_was_said():
    found = plan(TemplateDisk(template_name="tiny", format=DiskFormat.RAW, name="root"))[0]
    assert (found.format, found.path) == (DiskFormat.QCOW2, "images/web_root.qcow2")


def test_disks_without_a_name_are_numbered_around_those_with_one():
    disks = [EmptyDisk(size=1, name=name) for name in ("", "disk2", "", "disk0", "")]
    assert [disk.name for disk in plan(*disks)] == ["disk1", "disk2", "disk3", "disk0", "disk4"]


def test_ide_is_there_on_old_machines_only():
    disk = EmptyDisk(size=1, dev="hda")
    buses = {
        machine: plan(disk, machine=machine)[0].bus
        for machine in (None, "q35", "pc-q35-7.2", "pc", "pc-i440fx-7.2")
    }
    assert buses == {
        None: DiskBus.SATA,
        "q35": DiskBus.SATA,
        "pc-q35-7.2": DiskBus.SATA,
        "pc": DiskBus.IDE,
        "pc-i440fx-7.2": DiskBus.IDE,
    }


def test_files_of_different_vms_never_coincide():
    stems = {"web_seed"}
    disks = [EmptyDisk(size=1, name=name) for name in ("seed", "b_c")]
    paths = {disk.path for disk in plan(*disks, stems=stems)}
    paths |= {disk.path for disk in plan(EmptyDisk(size=1, name="c"), name="web_b", stems=stems)}
    assert len(paths) == 3
    assert "images/web_seed.qcow2" not in paths


def test_no_name_leaves_the_directory_of_images():
    found = plan(EmptyDisk(size=1, name="../../x"))[0]
    assert found.path.count("/") == 1
