"""Archives of strangers: what is taken out of them, and what is refused."""

import io
import tarfile

import pytest

from lago_sdk.adapters import ova
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError
from lago_sdk.spec.disk import DiskFormat


def make(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def special(name, kind, link=""):
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    return name, member


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_are_listed_read_and_unpacked(tmp_path, mode):
    path = make(tmp_path / "a.ova", ("./a/x.ovf", b"text"), ("d.img", b"12345"), mode=mode)
    assert ova.list_files(path) == {"a/x.ovf": 4, "d.img": 5}
    assert ova.read_file(path, "a/x.ovf") == b"text"
    ova.extract_file(path, "d.img", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"12345"


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (("/etc/passwd", b""), "absolute"),
        (("a/../../x", b""), "leads out"),
        (special("x", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        (special("x", tarfile.LNKTYPE, "y"), "a link"),
        (special("x", tarfile.FIFOTYPE), "neither"),
        (special("x", tarfile.CHRTYPE), "neither"),
    ],
)
def test_what_no_appliance_needs_is_refused(tmp_path, member, told):
    path = make(tmp_path / "a.ova", ("x.ovf", b""), member)
    with pytest.raises(ImageError, match=told):
        ova.list_files(path)


def test_a_name_twice_and_a_bomb_are_refused(tmp_path):
    twice = make(tmp_path / "a.ova", ("x", b"1"), ("./x", b"2"))
    with pytest.raises(ImageError, match="twice"):
        ova.list_files(twice)
    bomb = make(tmp_path / "b.ova", ("x", bytes(64 << 20)), mode="w:gz")
    with pytest.raises(ImageError, match="more in it"):
        ova.list_files(bomb)


@pytest.mark.parametrize("data", [b"", b"no archive at all"])
def test_what_is_no_archive_is_told(tmp_path, data):
    (tmp_path / "a.ova").write_bytes(data)
    with pytest.raises(ImageError, match="no tar archive"):
        ova.list_files(tmp_path / "a.ova")


def test_an_archive_that_is_cut_off_is_damaged(tmp_path):
    path = make(tmp_path / "a.ova", ("x", bytes(4096)))
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(ImageError):
        ova.extract_file(path, "x", tmp_path / "out")


def test_images_that_refer_to_other_files_are_refused(tmp_path):
    tool = QemuImg()
    below, image = tmp_path / "below.qcow2", tmp_path / "image.qcow2"
    tool.create_empty(below, size=1 << 20, image_format=DiskFormat.QCOW2)
    tool.create_overlay(image, tool.inspect(below))
    with pytest.raises(ImageError, match="refers to other files"):
        tool.import_image(image, tmp_path / "out")
    (tmp_path / "text.vmdk").write_text('# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0\n')
    with pytest.raises(ImageError, match="list of other files"):
        tool.import_image(tmp_path / "text.vmdk", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_raw_and_a_qcow2_image_are_kept_as_they_are(tmp_path):
    tool = QemuImg()
    (tmp_path / "raw").write_bytes(bytes(1 << 20))
    tool.import_image(tmp_path / "raw", tmp_path / "disk")
    assert tool.inspect(tmp_path / "disk").format is DiskFormat.RAW
    tool.create_empty(tmp_path / "own", size=1 << 20, image_format=DiskFormat.QCOW2)
    tool.import_image(tmp_path / "own", tmp_path / "disk")
    assert tool.inspect(tmp_path / "disk").format is DiskFormat.QCOW2
