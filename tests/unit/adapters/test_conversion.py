"""Images written anew by the real qemu-img: what is in them, and what is not."""

import subprocess

import pytest

from lago_sdk.adapters import qcow2
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError
from lago_sdk.spec.disk import DiskFormat

MIB = 1 << 20
QCOW2 = DiskFormat.QCOW2


def io(path, *commands):
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(["qemu-io", *words, path], capture_output=True, text=True, check=True)
    assert "failed" not in done.stdout, done.stdout
    return done.stdout


def fill(path, at, pattern):
    io(path, f"write -P {pattern} {at}M 1M")


def holds(path, at, pattern):
    done = subprocess.run(
        ["qemu-io", "-r", "-c", f"read -P {pattern} {at}M 1M", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return "failed" not in done.stdout


@pytest.fixture
def tool():
    return QemuImg()


@pytest.fixture
def chain(tool, tmp_path):
    """Three layers: 1 at 0 in the base, 2 at 1 in the middle, 3 at 2 on top."""
    base, middle, top = (tmp_path / f"{name}.qcow2" for name in ("base", "middle", "top"))
    tool.create_empty(base, size=16 * MIB, image_format=QCOW2)
    tool.create_overlay(middle, tool.inspect(base))
    tool.create_overlay(top, tool.inspect(middle))
    for index, path in enumerate((base, middle, top)):
        fill(path, index, index + 1)
    return base, middle, top


def test_a_flat_image_has_everything_and_no_tags(tool, chain, tmp_path):
    top, flat = chain[2], tmp_path / "flat.qcow2"
    tool.create_snapshot(top, "before")
    fill(top, 3, 4)
    told = []
    tool.flatten(top, flat, image_format=QCOW2, progress=lambda *x: told.append(x))
    assert [holds(flat, at, at + 1) for at in range(4)] == [True] * 4
    assert tool.inspect(flat).backing is None
    assert tool.list_snapshots(flat) == {}
    assert told[-1] == (16 * MIB, 16 * MIB)


def test_a_raw_image_stays_sparse(tool, tmp_path):
    raw, flat = tmp_path / "raw", tmp_path / "flat"
    tool.create_empty(raw, size=64 * MIB, image_format=DiskFormat.RAW)
    tool.flatten(raw, flat, image_format=DiskFormat.RAW, progress=lambda *_: None)
    assert flat.stat().st_size == 64 * MIB
    assert flat.stat().st_blocks * 512 < MIB


def test_several_layers_become_one_on_the_base(tool, chain, tmp_path):
    base, middle, top = chain
    layer = tmp_path / "layer.qcow2"
    tool.create_layer(top, layer, image_format=QCOW2, below=tool.inspect(middle))
    tool.move_onto(layer, tool.inspect(base))
    middle.unlink()
    assert tool.inspect(layer).backing == str(base)
    assert [holds(layer, at, at + 1) for at in range(3)] == [True] * 3
    tool.refer(layer, "./tiny:1", tool.inspect(base))
    head = layer.read_bytes()[:65536]
    assert tool.find_backing(head) == "./tiny:1"


def test_a_vmdk_is_compressed_and_read_back(tool, chain, tmp_path):
    vmdk, back = tmp_path / "disk.vmdk", tmp_path / "back"
    tool.create_vmdk(chain[2], vmdk, image_format=QCOW2, progress=lambda *_: None)
    assert vmdk.stat().st_size < MIB
    tool.import_image(vmdk, back)
    assert [holds(back, at, at + 1) for at in range(3)] == [True] * 3


def test_what_fails_or_is_given_up_leaves_nothing(tool, chain, tmp_path):
    target = tmp_path / "target"
    with pytest.raises(ImageError, match="cannot read the image"):
        tool.flatten(tmp_path / "gone", target, image_format=QCOW2, progress=lambda *_: None)

    def give_up(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.flatten(chain[2], target, image_format=QCOW2, progress=give_up)
    assert not target.exists()
    chain[0].rename(tmp_path / "elsewhere")
    with pytest.raises(ImageError):
        tool.flatten(chain[2], target, image_format=QCOW2, progress=lambda *_: None)
    assert not target.exists()


def test_heads_of_images(tool, chain, tmp_path):
    assert qcow2.find_backing(chain[0].read_bytes()[:65536]) is None
    head = chain[2].read_bytes()[:65536]
    assert qcow2.find_backing(head) == str(chain[1])
    for bad in (b"", b"QFI\xfb", b"\0" * 512, b"KDMV" + bytes(508)):
        with pytest.raises(ImageError, match="no qcow2 image"):
            qcow2.find_backing(bad)
    with pytest.raises(ImageError, match="name of its backing file is missing"):
        qcow2.find_backing(head[:112])
    outside, data = tmp_path / "outside.qcow2", tmp_path / "data"
    options = ["-f", "qcow2", "-o", f"data_file={data}"]
    subprocess.run(["qemu-img", "create", "-q", *options, outside, "1M"], check=True)
    with pytest.raises(ImageError, match="in another file"):
        qcow2.find_backing(outside.read_bytes()[:65536])
