"""The fake of disks that are off keeps the port's promises, as the real one does."""

from pathlib import Path

import pytest

from lago_sdk.errors import ImageError
from lago_sdk.ports import EntryKind, OfflineFile, OfflineLink
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.testing import FakeDisks

IMAGE = Path("/images/web_root.qcow2")


@pytest.fixture
def disks():
    disks = FakeDisks()
    disks[IMAGE.name]["/etc/hostname"] = OfflineFile(data=b"web\n", mode=0o600, uid=7)
    disks[IMAGE.name]["/etc/sub/x"] = OfflineFile(data=b"x")
    disks[IMAGE.name]["/etc/link"] = OfflineLink(target="sub")
    return disks


def open_disk(disks, *, read_only=True):
    return disks.open(IMAGE, DiskFormat.QCOW2, read_only=read_only)


def test_what_was_said_is_there(disks):
    with open_disk(disks) as fs:
        entries = {entry.name: entry for entry in fs.list_directory("/etc")}
        assert fs.read_file("/etc/hostname") == b"web\n"
        assert fs.find("/nowhere") is None
    assert {name: entry.kind for name, entry in entries.items()} == {
        "hostname": EntryKind.FILE,
        "link": EntryKind.LINK,
        "sub": EntryKind.DIRECTORY,
    }
    assert (entries["hostname"].mode, entries["hostname"].uid) == (0o600, 7)


def test_extraction_tells_what_is_missing(disks, tmp_path):
    with open_disk(disks) as fs:
        found = fs.extract([("/etc", tmp_path / "etc"), ("/none", tmp_path / "none")])
    assert (found.collected, found.missing) == (("/etc",), ("/none",))
    assert (tmp_path / "etc/sub/x").read_bytes() == b"x"


def test_what_is_written_stays(disks):
    with open_disk(disks, read_only=False) as fs:
        fs.write_files({"/root/a": OfflineFile(data=b"a")})
        fs.remove("/etc")
    with open_disk(disks) as fs:
        assert fs.read_file("/root/a") == b"a"
        assert fs.find("/etc") is None
    assert disks.opened == [(IMAGE, False), (IMAGE, True)]


def test_nothing_is_written_where_it_is_only_read(disks):
    with open_disk(disks) as fs:
        with pytest.raises(ImageError, match="read only"):
            fs.write_files({"/x": OfflineFile(data=b"")})
        with pytest.raises(ImageError, match="read only"):
            fs.remove("/etc")
        with pytest.raises(ImageError, match="no file"):
            fs.read_file("/etc/link")
        with pytest.raises(ImageError, match="no directory"):
            fs.list_directory("/etc/hostname")
