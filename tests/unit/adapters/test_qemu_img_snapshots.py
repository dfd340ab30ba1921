"""Snapshots inside of qcow2 images, by qemu-img itself."""

import pytest

from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError
from lago_sdk.spec.disk import DiskFormat


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.qcow2"
    QemuImg().create_empty(path, size=1 << 20, image_format=DiskFormat.QCOW2)
    return path


def test_made_applied_and_deleted(image):
    tool = QemuImg()
    assert dict(tool.list_snapshots(image)) == {}
    tool.create_snapshot(image, "lago-a")
    tool.create_snapshot(image, "lago-a")
    assert dict(tool.list_snapshots(image)) == {"lago-a": 0}
    tool.apply_snapshot(image, "lago-a")
    tool.delete_snapshot(image, "lago-a")
    tool.delete_snapshot(image, "lago-a")
    assert dict(tool.list_snapshots(image)) == {}


def test_what_is_not_there_is_told(image):
    with pytest.raises(ImageError, match="cannot revert"):
        QemuImg().apply_snapshot(image, "lago-a")
    with pytest.raises(ImageError):
        QemuImg().list_snapshots(image.with_name("none"))
