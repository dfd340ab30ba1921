"""Disk images: what qemu-img really makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError
from lago_sdk.plan.models import Image
from lago_sdk.spec.disk import DiskFormat

MIB = 1 << 20


@pytest.fixture
def tool():
    return QemuImg()


@pytest.fixture
def base(tool, tmp_path):
    path = tmp_path / "base image.qcow2"
    tool.create_empty(path, size=8 * MIB, image_format=DiskFormat.QCOW2)
    return tool.inspect(path)


def test_overlay_takes_size_and_format_from_its_base(tool, base, tmp_path):
    path = tmp_path / "overlay.qcow2"
    tool.create_overlay(path, base)
    made = tool.inspect(path)
    assert (made.path, made.format, made.size) == (str(path), DiskFormat.QCOW2, 8 * MIB)
    assert tool.inspect_chain(path) == (tool.inspect(path), base)


def test_overlay_can_be_larger_than_its_base_but_not_smaller(tool, base, tmp_path):
    path = tmp_path / "overlay.qcow2"
    tool.create_overlay(path, base, size=16 * MIB)
    assert tool.inspect(path).size == 16 * MIB
    with pytest.raises(ImageError, match="cannot hold"):
        tool.create_overlay(path, base, size=4 * MIB)


def test_the_format_of_a_raw_base_is_written_down_not_probed(tool, tmp_path):
    """A guest may write a qcow2 header to its raw disk; nobody may believe it."""
    raw = tmp_path / "base.raw"
    tool.create_empty(raw, size=MIB, image_format=DiskFormat.RAW)
    path = tmp_path / "overlay.qcow2"
    tool.create_overlay(path, Image(path=str(raw), format=DiskFormat.RAW, size=MIB))
    header = path.read_bytes()[:4096]
    assert b"raw" in header
    assert [image.format for image in tool.inspect_chain(path)] == [
        DiskFormat.QCOW2,
        DiskFormat.RAW,
    ]


def test_a_base_given_by_a_relative_path_is_found(tool, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Image(path="base image.qcow2", size=base.size)
    (tmp_path / "sub").mkdir()
    tool.create_overlay(Path("sub/overlay.qcow2"), relative)
    assert len(tool.inspect_chain(Path("sub/overlay.qcow2"))) == 2


@pytest.mark.parametrize("image_format", [DiskFormat.QCOW2, DiskFormat.RAW])
def test_empty_images_are_sparse(tool, tmp_path, image_format):
    path = tmp_path / "disk"
    tool.create_empty(path, size=1 << 30, image_format=image_format)
    assert tool.inspect(path).size == 1 << 30
    assert tool.inspect(path).format is image_format
    assert path.stat().st_blocks * 512 < MIB


def test_a_disk_needs_a_size(tool, tmp_path):
    with pytest.raises(ImageError, match="0 bytes"):
        tool.create_empty(tmp_path / "disk", size=0, image_format=DiskFormat.RAW)


def test_a_missing_base_is_named_and_nothing_is_left(tool, tmp_path):
    path = tmp_path / "overlay.qcow2"
    gone = Image(path=str(tmp_path / "gone.qcow2"), size=MIB)
    with pytest.raises(ImageError, match=r"gone\.qcow2") as caught:
        tool.create_overlay(path, gone)
    assert "missing" in str(caught.value.hint)
    assert not path.exists()


def test_an_overlay_without_its_base_can_be_inspected_but_its_chain_not(tool, base, tmp_path):
    path = tmp_path / "overlay.qcow2"
    tool.create_overlay(path, base)
    Path(base.path).unlink()
    assert tool.inspect(path).size == base.size
    with pytest.raises(ImageError, match="base image"):
        tool.inspect_chain(path)


def test_a_damaged_image_is_refused(tool, base, tmp_path):
    damaged = tmp_path / "damaged.qcow2"
    damaged.write_bytes(Path(base.path).read_bytes()[:72])
    with pytest.raises(ImageError, match="cannot read the image"):
        tool.inspect(damaged)


def test_an_image_marked_as_corrupt_is_refused(tool, base):
    path = Path(base.path)
    data = bytearray(path.read_bytes())
    data[79] |= 2  # incompatible_features, bit 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match="corrupt"):
        tool.inspect(path)


def test_another_format_is_named_with_the_way_out(tool, tmp_path):
    path = tmp_path / "disk.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", str(path), "1M"], check=True)
    with pytest.raises(ImageError, match="vmdk") as caught:
        tool.inspect(path)
    assert "qemu-img convert" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_image_is_refused(tool, tmp_path, name):
    with pytest.raises(ImageError, match="cannot read"):
        tool.inspect(tmp_path / name)


def test_names_that_qemu_would_take_for_addresses_are_files(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tool.create_empty(Path("nbd:disk"), size=MIB, image_format=DiskFormat.RAW)
    assert tool.inspect(Path("nbd:disk")).size == MIB


def test_copies_keep_their_holes(tool, tmp_path):
    source, path = tmp_path / "source", tmp_path / "copy"
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(os.urandom(4096))
    tool.copy(source, path)
    assert path.read_bytes() == source.read_bytes()
    assert path.stat().st_blocks * 512 < MIB


def test_copying_what_is_not_there_leaves_nothing(tool, tmp_path):
    with pytest.raises(ImageError, match="cannot copy"):
        tool.copy(tmp_path / "missing", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
