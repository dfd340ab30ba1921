"""Device names and buses of disks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.devices import allocate_devices, device_name
from lago_sdk.spec.disk import DiskBus, DiskFormat, EmptyDisk


def disk(dev=None, bus=None, image_format=DiskFormat.QCOW2):
    return EmptyDisk(size=1, dev=dev, bus=bus, format=image_format)


CDROM = disk(image_format=DiskFormat.ISO)


@pytest.mark.parametrize(
    ("disks", "expected"),
    [
        ([disk("vda")], [("vda", DiskBus.VIRTIO)]),
        ([disk("sda")], [("sda", DiskBus.SCSI)]),
        ([disk("hdc")], [("hdc", DiskBus.IDE)]),
        ([disk("sda", DiskBus.SATA)], [("sda", DiskBus.SATA)]),
        ([disk(), disk()], [("vda", DiskBus.VIRTIO), ("vdb", DiskBus.VIRTIO)]),
        # A name written further down is not given away before.
        ([disk(), disk("vda")], [("vdb", DiskBus.VIRTIO), ("vda", DiskBus.VIRTIO)]),
        (
            [disk(bus=DiskBus.SCSI), disk(bus=DiskBus.SATA), disk(bus=DiskBus.IDE)],
            [("sda", DiskBus.SCSI), ("sdb", DiskBus.SATA), ("hda", DiskBus.IDE)],
        ),
        ([disk(), CDROM], [("vda", DiskBus.VIRTIO), ("sda", DiskBus.SCSI)]),
        ([disk("xyz")], [("xyz", DiskBus.VIRTIO)]),
    ],
)
def test_devices_where_there_is_ide(disks, expected):
    assert list(allocate_devices(disks, has_ide=True)) == expected


@pytest.mark.parametrize(
    ("disks", "expected"),
    [
        ([disk("hda")], [("sda", DiskBus.SATA)]),
        ([disk("hdc"), disk("sdc")], [("sda", DiskBus.SATA), ("sdc", DiskBus.SCSI)]),
        ([disk(bus=DiskBus.IDE), disk()], [("sda", DiskBus.SATA), ("vda", DiskBus.VIRTIO)]),
        ([disk("sdb", DiskBus.IDE)], [("sdb", DiskBus.SATA)]),
        ([disk(bus=DiskBus.IDE), disk("hda")], [("sdb", DiskBus.SATA), ("sda", DiskBus.SATA)]),
    ],
)
def test_ide_becomes_sata_where_there_is_none(disks, expected):
    assert list(allocate_devices(disks, has_ide=False)) == expected


@pytest.mark.parametrize(
    ("index", "name"), [(0, "vda"), (25, "vdz"), (26, "vdaa"), (27, "vdab"), (702, "vdaaa")]
)
def test_device_names_go_on_after_z(index, name):
    assert device_name("vd", index) == name


devs = st.sampled_from([f"{head}{letter}" for head in ("vd", "sd", "hd") for letter in "abcdef"])


@settings(deadline=None)
@given(
    written=st.lists(devs, unique=True, max_size=8),
    free=st.lists(st.sampled_from([None, *DiskBus]), max_size=30),
    has_ide=st.booleans(),
)
def test_devices_are_unique(written, free, has_ide):
    disks = [*(disk(bus=bus) for bus in free), *(disk(dev) for dev in written)]
    devices = [dev for dev, _ in allocate_devices(disks, has_ide=has_ide)]
    assert len(set(devices)) == len(devices)
