"""File systems of real disk images, made here: read, written, and never when in use."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lago_sdk.adapters.offline import Guestfs, LocalDisks, export
from lago_sdk.adapters.offline.areas import find_number
from lago_sdk.adapters.process import find_tool, get_tool, run
from lago_sdk.errors import ImageError, MissingToolError
from lago_sdk.ports import EntryKind, OfflineDirectory, OfflineFile, OfflineLink, OfflineVisit
from lago_sdk.spec.disk import DiskFormat

MIB = 1 << 20
MOUNTS = Path("/proc/self/mounts")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What is put into the file systems; names as a hostile guest makes them."""
    root = tmp_path_factory.mktemp("tree") / "root"
    (root / "etc/sub").mkdir(parents=True)
    (root / "usr/lib").mkdir(parents=True)
    (root / "var/log").mkdir(parents=True)
    (root / "usr/lib/os-release").write_text("ID=test\n")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/hostname").write_text("old\n")
    (root / "etc/secret").write_text("s")
    (root / "etc/secret").chmod(0o4600)
    (root / "var/log/na\nme").write_text("newline")
    (root / "var/log/q\"uo'te <2>").write_text("quotes")
    (root / os.fsdecode(b"var/log/\xff\xfe")).write_text("bytes")
    (root / "var/log/big").write_bytes(bytes(range(256)) * 20_000)
    os.link(root / "var/log/big", root / "var/log/hard")
    (root / "var/log/absolute").symlink_to("/etc/hostname")
    (root / "var/log/loop").symlink_to("loop")
    (root / "var/log/up").symlink_to("../../../../etc/hostname")
    (root / "var/log/near").symlink_to("big")
    (root / "var/log/slow").symlink_to("x" * 200)
    os.mkfifo(root / "var/log/pipe")
    os.utime(root / "var/log/big", (1e9, 1e9))
    return root


@pytest.fixture(scope="module")
def raw(tree, tmp_path_factory):
    """A raw disk with two ext4 partitions, the second one with the root file system."""
    path = tmp_path_factory.mktemp("raw") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(80 * MIB)
    table = f"label: gpt\nstart={MIB // 512}, size={8 * MIB // 512}\nstart={16 * MIB // 512}\n"
    run(["sfdisk", "-q", str(path)], input=table.encode())
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={MIB}", str(path), "8192k"])
    options = f"offset={16 * MIB},root_owner=0:0"
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), "-E", options, str(path), "60m"])
    return path


@pytest.fixture
def image(raw, tmp_path):
    """An overlay on the disk."""
    path = tmp_path / "disk.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(raw), str(path)])
    return path


@pytest.fixture
def disks():
    return LocalDisks(Guestfs({"PATH": "/nonexistent"}, has_kvm=False))


def open_disk(disks, path, *, read_only=True, **options):
    form = DiskFormat.QCOW2 if path.suffix == ".qcow2" else DiskFormat.RAW
    return disks.open(path, form, read_only=read_only, **options)


class TestReading:
    def test_the_root_file_system_is_found_and_links_stay_in_it(self, disks, image):
        with open_disk(disks, image) as fs:
            assert fs.read_file("/etc/os-release") == b"ID=test\n"
            assert fs.read_file("/var/log/absolute") == b"old\n"
            assert fs.read_file("/var/log/up") == b"old\n"
            assert fs.find("/var/log/loop") is None
            assert fs.find("/var/log/../../../etc//./hostname").size == 4
            assert fs.find("/etc/hostname/x") is None
            assert fs.find("/").kind is EntryKind.DIRECTORY

    def test_a_directory_is_listed_whatever_its_names(self, disks, image):
        with open_disk(disks, image) as fs:
            found = {entry.name: entry for entry in fs.list_directory("/var/log")}
        assert {"na\nme", "q\"uo'te <2>", os.fsdecode(b"\xff\xfe"), "pipe", "slow"} <= set(found)
        assert found["pipe"].kind is EntryKind.OTHER
        assert (found["slow"].kind, found["slow"].size) == (EntryKind.LINK, 200)

    def test_extracted_files_are_ours_and_inside(self, disks, image, tmp_path):
        with open_disk(disks, image) as fs:
            found = fs.extract(
                [("/var/log", tmp_path / "log"), ("/etc/os-release", tmp_path / "o s'r"),
                 ("/none", tmp_path / "none"), ("/etc", tmp_path / "etc")]
            )  # fmt: skip
        assert found.collected == ("/var/log", "/etc/os-release", "/etc")
        assert found.missing == ("/none",)
        log = tmp_path / "log"
        assert (log / "na\nme").read_text() == "newline"
        assert (log / "q\"uo'te <2>").read_text() == "quotes"
        assert (log / "big").read_bytes() == bytes(range(256)) * 20_000
        assert (log / "big").stat().st_mtime == 1e9
        assert (log / "hard").samefile(log / "big")
        assert (log / "near").resolve() == log / "big"
        assert (tmp_path / "o s'r").read_text() == "ID=test\n"
        assert (tmp_path / "etc/secret").stat().st_mode & 0o7777 == 0o600
        assert all(path.lstat().st_uid == os.geteuid() for path in log.rglob("*"))
        left = {item.path for item in found.skipped}
        assert left == {"/var/log/absolute", "/var/log/up", "/var/log/pipe", "/etc/os-release"}
        assert {path.name for path in tmp_path.iterdir()} == {
            "disk.qcow2", "etc", "log", "o s'r",
        }  # fmt: skip

    def test_the_image_stays_as_it_is(self, disks, image):
        before = image.read_bytes()
        with open_disk(disks, image) as fs:
            with pytest.raises(ImageError, match="read only"):
                fs.write_files({"/x": OfflineFile(data=b"")})
            with pytest.raises(ImageError, match="read only"):
                fs.remove("/etc")
        assert image.read_bytes() == before

    def test_without_fuse_a_copy_is_read(self, disks, image, monkeypatch):
        monkeypatch.setattr("lago_sdk.adapters.offline.disks.export_image", refuse_export)
        with open_disk(disks, image) as fs:
            assert fs.read_file("/etc/hostname") == b"old\n"

    def test_a_disk_without_partitions_is_read(self, disks, tree, tmp_path):
        path = tmp_path / "whole.raw"
        run(["mke2fs", "-q", "-F", "-t", "ext2", "-d", str(tree), str(path), "60m"])
        with open_disk(disks, path, root_partition="/dev/vda") as fs:
            assert fs.read_file("/etc/hostname") == b"old\n"

    def test_the_named_partition_wins(self, disks, image):
        with open_disk(disks, image, root_partition="/dev/sda1") as fs:
            assert [entry.name for entry in fs.list_directory("/")] == ["lost+found"]

    @pytest.mark.parametrize("has_fuse", [True, False])
    def test_what_is_only_in_the_journal_is_seen_and_stays_there(
        self, disks, raw, tmp_path, monkeypatch, has_fuse
    ):
        path = tmp_path / "dirty.raw"
        shutil.copyfile(raw, path)
        area = f"{path}?offset={16 * MIB}"
        number, data = write_to_journal(area, tmp_path)
        before = path.read_bytes()
        assert data not in before[16 * MIB + number * 1024 :][: len(data)]
        if not has_fuse:
            monkeypatch.setattr("lago_sdk.adapters.offline.disks.export_image", refuse_export)
        with open_disk(disks, path) as fs:
            assert fs.read_file("/etc/hostname") == data
        assert path.read_bytes() == before

    def test_the_journal_is_put_in_place_before_anything_is_written(self, disks, raw, tmp_path):
        path = tmp_path / "dirty.raw"
        shutil.copyfile(raw, path)
        area = f"{path}?offset={16 * MIB}"
        _, data = write_to_journal(area, tmp_path)
        with open_disk(disks, path, read_only=False) as fs:
            assert fs.read_file("/etc/hostname") == data
            fs.write_files({"/etc/new": OfflineFile(data=b"new\n")})
        assert "needs_recovery" not in run(["dumpe2fs", "-h", area]).out
        with open_disk(disks, path) as fs:
            assert (fs.read_file("/etc/hostname"), fs.read_file("/etc/new")) == (data, b"new\n")


def write_to_journal(area, directory):
    """Have ``/etc/hostname`` say something else, in the journal alone; returns where and what."""
    number = int(run(["debugfs", "-R", "blocks /etc/hostname", area]).out)
    data = b"lag\n"
    block = directory / "block"
    block.write_bytes(data.ljust(4096, b"\0"))
    script = f"journal_open\njournal_write -b {number} {block}\njournal_close\n"
    run(["debugfs", "-w", "-f", "/dev/stdin", area], input=script.encode())
    assert "needs_recovery" in run(["dumpe2fs", "-h", area]).out
    return number, data


def refuse_export(*_arguments, **_options):
    raise export.NoExportError


NODES = {
    "/etc/hostname": OfflineFile(data=b"new\n"),
    "/root/.ssh": OfflineDirectory(mode=0o700),
    "/root/.ssh/authorized_keys": OfflineFile(data=b"key", mode=0o600, uid=1, gid=70_000),
    '/srv/a "b/<2>': OfflineFile(data=b""),
    "/srv/link": OfflineLink(target="../etc/hostname"),
    "/srv/slow": OfflineLink(target="y" * 100),
    "/srv/big": OfflineFile(data=bytes(range(256)) * 8000, mode=0o4755),
    "/etc/os-release": OfflineFile(data=b"ID=ours\n"),
}


class TestWriting:
    def test_what_is_written_is_there(self, disks, image, raw):
        below = raw.stat().st_mtime_ns
        with open_disk(disks, image, read_only=False) as fs:
            fs.write_files(NODES)
            assert fs.read_file("/etc/hostname") == b"new\n"
        with open_disk(disks, image) as fs:
            assert fs.read_file("/srv/link") == b"new\n"
            assert fs.read_file("/srv/big") == NODES["/srv/big"].data
            assert fs.find("/srv/big").mode == 0o4755
            keys = fs.find("/root/.ssh/authorized_keys")
            assert (keys.mode, keys.uid, keys.gid) == (0o600, 1, 70_000)
            assert fs.find("/root/.ssh").mode == 0o700
            assert fs.find("/root").mode == 0o755
            assert fs.read_file("/usr/lib/os-release") == b"ID=test\n"
        assert raw.stat().st_mtime_ns == below

    def test_writing_the_same_again_leaves_a_sound_file_system(self, disks, image):
        for _ in range(2):
            with open_disk(disks, image, read_only=False) as fs:
                fs.write_files(NODES)

    def test_whole_trees_are_removed(self, disks, image):
        with open_disk(disks, image, read_only=False) as fs:
            fs.write_files(NODES)
            fs.remove("/srv")
            fs.remove("/usr")
            fs.remove("/nowhere/at/all")
            assert fs.find("/srv") is None
        with open_disk(disks, image) as fs:
            assert fs.find("/usr") is None
            assert fs.find("/var").kind is EntryKind.DIRECTORY

    def test_names_that_debugfs_cannot_say_are_told_before_anything_is_gone(self, disks, image):
        with open_disk(disks, image, read_only=False) as fs:
            with pytest.raises(ImageError, match=r"na\\nme"):
                fs.remove("/var/log")
            assert len(fs.list_directory("/var/log")) > 5

    @pytest.mark.parametrize("path", ["/", "/etc", "/a/../b", "/line\nend", "/etc/hostname/x"])
    def test_what_cannot_be_written_is_told(self, disks, image, path):
        with (
            pytest.raises(ImageError),
            open_disk(disks, image, read_only=False) as fs,
        ):
            fs.write_files({path: OfflineFile(data=b"x")})

    def test_a_full_file_system_is_told(self, disks, image):
        with (
            pytest.raises(ImageError),
            open_disk(disks, image, read_only=False) as fs,
        ):
            fs.write_files({"/big": OfflineFile(data=os.urandom(70 * MIB))})


class TestRefusing:
    def test_a_disk_in_use_is_not_opened(self, disks, image):
        argv = [get_tool("qemu-io"), "-f", "qcow2", str(image)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
            user.stdin.write(b"read 0 512\n")
            user.stdin.flush()
            user.stdout.readline()
            for read_only in (True, False):
                with (
                    pytest.raises(ImageError, match="something uses the disk"),
                    open_disk(disks, image, read_only=read_only),
                ):
                    pass
            user.communicate(b"quit\n", timeout=10)

    def test_a_missing_image_is_told(self, disks, tmp_path):
        with pytest.raises(ImageError, match="there is no image"), open_disk(disks, tmp_path / "x"):
            pass

    def test_what_is_no_qcow2_is_told(self, disks, tmp_path):
        path = tmp_path / "bad.qcow2"
        path.write_bytes(b"nothing" * 1000)
        with pytest.raises(ImageError, match="cannot open the disk"), open_disk(disks, path):
            pass

    def test_nothing_is_left_behind(self, disks, image, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with pytest.raises(KeyError), open_disk(disks, image, read_only=False):
            raise KeyError
        assert [path.name for path in tmp_path.iterdir()] == ["disk.qcow2"]
        assert str(tmp_path) not in MOUNTS.read_text()

    def test_the_daemon_ends_when_we_are_killed(self, image, tmp_path):
        code = (
            "import sys, time; from pathlib import Path\n"
            "from lago_sdk.adapters.offline.export import export_image\n"
            "from lago_sdk.spec.disk import DiskFormat\n"
            "with export_image(Path(sys.argv[1]), DiskFormat.QCOW2, read_only=False,"
            " scratch=Path(sys.argv[2])):\n print('open', flush=True); time.sleep(60)"
        )
        argv = [sys.executable, "-c", code, str(image), str(tmp_path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as victim:
            assert victim.stdout.readline() == b"open\n"
            assert str(tmp_path) in MOUNTS.read_text()
            victim.kill()
        end = time.monotonic() + 10
        while str(tmp_path) in MOUNTS.read_text():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "number"),
    [("/dev/vda1", 1), ("sda15", 15), ("/dev/vda", 0), ("/dev/nvme0n1p2", 2), ("/dev/nvme0n1", 0),
     ("xvda3", 3), ("root", None), ("/dev/vg/root1", None)],
)  # fmt: skip
def test_partitions_are_named_as_guests_name_them(name, number):
    assert find_number(name) == number


class TestLook:
    def test_ext4_is_looked_into(self, disks, image):
        with disks.look(image, DiskFormat.QCOW2) as look:
            assert look.kind == "ext4"
            assert look.fs.read_file("/etc/hostname") == b"old\n"
            with pytest.raises(ImageError, match="read only"):
                look.fs.remove("/etc")

    @pytest.mark.parametrize(
        ("offset", "magic", "kind"),
        [
            (0, b"XFSB", "xfs"),
            (512, b"LABELONE", "LVM"),
            (0, b"LUKS\xba\xbe", "an encrypted volume"),
            (0, b"nothing", None),
        ],
    )
    def test_others_are_told_by_their_first_bytes(self, disks, tmp_path, offset, magic, kind):
        path = tmp_path / "disk.raw"
        with path.open("wb") as file:
            file.truncate(8 * MIB)
            file.seek(offset)
            file.write(magic)
        with disks.look(path, DiskFormat.RAW) as look:
            assert (look.kind, look.fs) == (kind, None)
        there = "no root file system was found" if kind is None else f"the root is on {kind}"
        opened = disks.open(path, DiskFormat.RAW, read_only=False, may_boot=False)
        with pytest.raises(ImageError, match=f"only ext4 .* and {there}") as caught, opened:
            pass
        assert "guestfs" in caught.value.hint

    def test_without_fuse_it_is_said(self, disks, image, monkeypatch):
        monkeypatch.setattr("lago_sdk.adapters.offline.disks.export_image", refuse_export)
        with pytest.raises(ImageError, match="/dev/fuse"), disks.look(image, DiskFormat.QCOW2):
            pass
        opened = disks.open(image, DiskFormat.QCOW2, read_only=False, may_boot=False)
        with pytest.raises(ImageError, match="/dev/fuse") as caught, opened:
            pass
        assert caught.value.hint


@pytest.mark.parametrize("state", [0x0000, 0x0003])
def test_a_file_system_that_is_not_clean_is_not_written_to(disks, raw, tmp_path, state):
    path = tmp_path / "disk.raw"
    shutil.copyfile(raw, path)
    with path.open("r+b") as file:
        file.seek(16 * MIB + 1024 + 0x3A)
        file.write(state.to_bytes(2, "little"))
    before = path.read_bytes()
    opened = open_disk(disks, path, read_only=False, root_partition="/dev/vda2")
    with pytest.raises(ImageError, match="not unmounted, or is damaged") as caught, opened as fs:
        fs.write_files({"/x": OfflineFile(data=b"")})
    assert "e2fsck" in caught.value.hint
    assert path.read_bytes() == before


def test_what_is_written_never_lies_elsewhere(disks, image, tmp_path):
    with open_disk(disks, image, read_only=False) as fs:
        fs.write_files({"/secret": OfflineFile(data=b"key")})
        (scratch,) = tmp_path.glob(".lago-disk-*")
        assert scratch.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [image]


def test_without_libguestfs_its_package_is_told(image, monkeypatch):
    def find(name):
        return None if name == "guestfish" else find_tool(name)

    monkeypatch.setattr("lago_sdk.adapters.process.find_tool", find)
    change = OfflineVisit(path=image, image_format=DiskFormat.QCOW2, apply=lambda _fs: None)
    disks = LocalDisks(Guestfs({}, has_kvm=False))
    with pytest.raises(MissingToolError) as caught:
        disks.change_all([change])
    assert "libguestfs-tools" in caught.value.hint
