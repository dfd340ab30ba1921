"""Images come into the store from files and go out to files, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.errors import ImageError, LagoError, TemplateError, TemplateNotFoundError
from lago_sdk.events import Progress, StageFinished
from lago_sdk.ports import Compression
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.templates.archive import export_template, import_template
from lago_sdk.templates.store import TemplateStore

MIB = 1 << 20


@pytest.fixture
def store(tmp_path):
    return TemplateStore(tmp_path / "store")


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.write(b"boot" * 1024)
        file.truncate(64 * MIB)
    return path


@pytest.fixture
def qcow2(tmp_path, raw):
    return convert(raw, tmp_path / "disk.qcow2")


def convert(source, path, *options):
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", *options, source, path], check=True)
    return path


def create(path, *options):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path], check=True)
    return path


def take(store, path, name="base", **options):
    return import_template(path, name=name, store=store, **options)


def is_same(one, two):
    done = subprocess.run(["qemu-img", "compare", "-q", one, two], check=False)
    return done.returncode == 0


def left(store):
    """What is in the making."""
    scratch = store.path / ".tmp"
    return sorted(path.name for path in scratch.iterdir()) if scratch.exists() else []


class TestImport:
    def test_a_raw_image_stays_sparse_and_is_checked(self, store, raw):
        template = take(store, raw)
        path = Path(template.image.path)
        assert (template.image.format, template.image.size) == (DiskFormat.RAW, 64 * MIB)
        assert path.read_bytes() == raw.read_bytes()
        assert path.stat().st_blocks * 512 < MIB
        found = hashlib.sha256(raw.read_bytes()).hexdigest()
        assert template.image.digest == f"sha256:{found}"
        assert template.version == found[:12]
        assert left(store) == []

    def test_a_qcow2_image_is_told_by_its_content(self, store, qcow2, tmp_path):
        named = qcow2.rename(tmp_path / "whatever")
        template = take(store, named, version="7")
        assert (template.image.format, template.reference) == (DiskFormat.QCOW2, "base:7")
        assert store.verify("base") == template

    def test_the_same_image_again_is_the_same_template(self, store, raw):
        assert take(store, raw) == take(store, raw)
        assert len(store.list()) == 1

    def test_another_image_does_not_replace_one_that_may_be_in_use(self, store, raw, qcow2):
        first = take(store, raw, version="1")
        with pytest.raises(TemplateError, match="another image as base:1") as caught:
            take(store, qcow2, version="1")
        assert "template rm base:1" in caught.value.hint
        assert store.list() == (first,)
        assert left(store) == []

    def test_the_users_file_stays_as_it_is(self, store, raw):
        raw.chmod(0o640)
        before = raw.stat()
        take(store, raw)
        after = raw.stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)

    def test_a_link_shares_the_file(self, store, raw):
        template = take(store, raw, link=True)
        assert Path(template.image.path).samefile(raw)
        assert stat.S_IMODE(raw.stat().st_mode) == 0o444

    @pytest.mark.skipif(
        Path("/dev/shm").stat().st_dev == Path("/tmp").stat().st_dev,
        reason="this machine has one file system",
    )
    def test_where_no_link_is_possible_there_is_a_copy(self, store, raw):
        elsewhere = Path("/dev/shm") / f"lago-test-{os.getpid()}.img"
        shutil.copyfile(raw, elsewhere)
        try:
            template = take(store, elsewhere, link=True)
            assert not Path(template.image.path).samefile(elsewhere)
        finally:
            elsewhere.unlink()

    def test_metadata_is_given_or_beside_the_image(self, store, raw, tmp_path):
        assert take(store, raw, version="1", metadata={"distro": "x"}).image.metadata == {
            "distro": "x"
        }
        raw.with_name("disk.img.metadata").write_text('{"distro": "beside"}')
        assert take(store, raw, version="2").image.metadata == {"distro": "beside"}
        other = tmp_path / "other.json"
        other.write_text('{"distro": "other"}')
        assert take(store, raw, version="3", metadata=other).image.metadata == {"distro": "other"}

    @pytest.mark.parametrize(("text", "problem"), [("[]", "JSON object"), ("{", "cannot be read")])
    def test_bad_metadata_is_an_error(self, store, raw, tmp_path, text, problem):
        path = tmp_path / "m.json"
        path.write_text(text)
        with pytest.raises(TemplateError, match=problem):
            take(store, raw, metadata=path)
        with pytest.raises(TemplateError, match="cannot be read"):
            take(store, raw, metadata=tmp_path / "nowhere.json")
        assert not store.path.exists()

    def test_progress_is_told(self, store, tmp_path):
        path = tmp_path / "large.img"
        with path.open("wb") as file:
            file.truncate(200 * MIB)
        events = []
        take(store, path, observer=events.append)
        done = [event.done for event in events if isinstance(event, Progress)]
        assert done == sorted(done)
        assert len(done) > 1
        assert isinstance(events[-1], StageFinished)


class TestLayers:
    def test_an_overlay_is_made_whole(self, store, raw, tmp_path):
        overlay = create(tmp_path / "overlay.qcow2", "-F", "raw", "-b", raw)
        template = take(store, overlay)
        assert template.image.backing is None
        assert template.below is None
        assert is_same(template.image.path, overlay)

    def test_an_overlay_on_a_template_is_a_layer(self, store, raw, tmp_path):
        base = take(store, raw)
        overlay = create(tmp_path / "overlay.qcow2", "-F", "raw", "-b", base.image.path)
        template = take(store, overlay, name="top")
        assert template.below == base.reference
        assert template.image.backing == base.image.path
        assert store.list_layers(template) == (template, base)
        assert QemuImg().inspect(Path(template.image.path)).backing == base.image.path
        assert is_same(template.image.path, base.image.path)

    @pytest.mark.parametrize("backing", ["./base:1", "./repo:base:1"])
    def test_lagos_layers_name_the_template(self, store, raw, tmp_path, backing):
        base = take(store, raw, version="1")
        overlay = create(tmp_path / "o.qcow2", "-u", "-F", "raw", "-b", backing, "-o", "size=64M")
        template = take(store, overlay, name="top")
        assert template.below == "base:1"
        assert is_same(template.image.path, base.image.path)

    @pytest.mark.parametrize("backing", ["./nowhere.img", "./base:1"])
    def test_a_missing_backing_file_is_an_error(self, store, tmp_path, backing):
        overlay = create(tmp_path / "o.qcow2", "-u", "-F", "raw", "-b", backing, "-o", "size=64M")
        with pytest.raises(TemplateError, match=r"backing file .* is missing"):
            take(store, overlay)
        assert store.list() == ()
        assert left(store) == []

    def test_a_chain_that_breaks_further_down_is_an_error(self, store, tmp_path):
        lower = create(tmp_path / "l.qcow2", "-u", "-F", "raw", "-b", "gone", "-o", "size=64M")
        upper = create(tmp_path / "u.qcow2", "-u", "-F", "qcow2", "-b", lower, "-o", "size=64M")
        with pytest.raises(LagoError, match="gone"):
            take(store, upper)
        assert store.list() == ()
        assert left(store) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("head", "tool"),
        [
            (b"\x1f\x8b\x08\x00", "gzip -d"),
            (b"\xfd7zXZ\0", "xz -d"),
            (b"\x28\xb5\x2f\xfd", "zstd -d"),
            (b"BZh9", "bzip2 -d"),
        ],
    )
    def test_compressed_files(self, store, tmp_path, head, tool):
        path = tmp_path / "disk"
        path.write_bytes(head + bytes(1024))
        with pytest.raises(TemplateError, match="is compressed") as caught:
            take(store, path)
        assert tool in caught.value.hint

    def test_no_file_a_directory_and_nothing(self, store, tmp_path):
        (tmp_path / "empty").touch()
        for name, problem in [("nowhere", "No such"), (".", "directory"), ("empty", "is empty")]:
            with pytest.raises(TemplateError, match=problem):
                take(store, tmp_path / name)
        assert not store.path.exists()

    def test_another_format(self, store, raw, tmp_path):
        vdi = tmp_path / "disk.vdi"
        subprocess.run(["qemu-img", "convert", "-O", "vdi", raw, vdi], check=True)
        with pytest.raises(ImageError, match="vdi") as caught:
            take(store, vdi)
        assert "qemu-img convert" in caught.value.hint

    def test_an_image_that_keeps_its_data_elsewhere(self, store, tmp_path):
        options = f"data_file={tmp_path / 'data'},size=1M"
        path = create(tmp_path / "disk.qcow2", "-o", options)
        with pytest.raises(ImageError, match="other files"):
            take(store, path)
        assert left(store) == []

    @pytest.mark.parametrize("name", ["..", "a/b", "../../etc", ".hidden", ""])
    def test_names_that_leave_the_store(self, store, raw, name):
        with pytest.raises(TemplateError, match="cannot be the name"):
            take(store, raw, name=name)
        with pytest.raises(TemplateError, match="cannot be the name"):
            take(store, raw, version=name)
        assert not store.path.exists()


class TestProcesses:
    CODE = (
        "import sys; from pathlib import Path\n"
        "from lago_sdk.templates.archive import import_template\n"
        "from lago_sdk.templates.store import TemplateStore\n"
        "found = import_template(Path(sys.argv[2]), name='base', version=sys.argv[3],\n"
        "                        store=TemplateStore(Path(sys.argv[1])))\n"
        "print(found.image.path)\n"
    )

    def start(self, store, path, version="1"):
        argv = [sys.executable, "-c", self.CODE, str(store.path), str(path), version]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def test_two_at_once_make_one_entry(self, store, raw):
        running = [self.start(store, raw) for _ in range(3)]
        outputs = {process.communicate(timeout=60)[0] for process in running}
        assert [process.returncode for process in running] == [0, 0, 0]
        assert outputs == {f"{store.path}/base/1/image.img\n"}
        assert len(store.list()) == 1

    def test_a_killed_import_leaves_nothing_that_counts(self, store, tmp_path):
        path = tmp_path / "large.img"
        with path.open("wb") as file:
            file.truncate(8 << 30)  # hashing it takes seconds
        process = self.start(store, path)
        deadline = time.monotonic() + 30
        while not left(store) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
        assert store.list() == ()
        assert left(store) == ["base"]
        path.unlink()
        path.write_bytes(b"x" * MIB)
        assert take(store, path).image.size == MIB
        assert left(store) == []

    def test_those_who_wait_see_how_far_the_first_has_come(self, store):
        seen, ready = [], threading.Event()

        def observe(event):
            seen.append(event)
            if isinstance(event, Progress):
                ready.set()

        def wait():
            with store.locked("base", observe):
                pass

        told = Progress(stage="fetch", subject="base", done=5, total=10)
        with store.locked("base") as shelf:
            shelf.observer(told)
            thread = threading.Thread(target=wait)
            thread.start()
            assert ready.wait(30)
        thread.join(30)
        assert told in seen
        assert seen[-1] == Progress(stage="fetch", subject="base", done=5, total=5)
        names = [path.name for path in (store.path / ".locks").iterdir()]
        assert not [name for name in names if name.endswith(".progress")]


class TestExport:
    def test_an_image_with_the_files_of_a_repository(self, store, qcow2, tmp_path):
        template = take(store, qcow2, version="1", metadata={"distro": "x"})
        target = tmp_path / "out"
        target.mkdir()
        exported = export_template(store, "base", target=target)
        assert sorted(path.name for path in target.iterdir()) == [
            "base-1.qcow2",
            "base-1.qcow2.hash",
            "base-1.qcow2.metadata",
        ]
        assert exported.image.read_bytes() == qcow2.read_bytes()
        assert exported.image.stat().st_mode & 0o200
        assert exported.hash.read_text().strip() == template.image.digest.partition(":")[2]
        assert json.loads(exported.metadata.read_text()) == {"distro": "x"}
        back = take(store, exported.image, name="back", version="1")
        assert back.image.digest == template.image.digest
        assert back.image.metadata == {"distro": "x"}

    def test_a_sparse_image_stays_sparse(self, store, raw, tmp_path):
        take(store, raw)
        exported = export_template(store, "base", target=tmp_path / "out.img")
        assert exported.image.stat().st_size == 64 * MIB
        assert exported.image.stat().st_blocks * 512 < MIB

    @pytest.mark.parametrize("how", list(Compression))
    def test_compressed(self, store, raw, tmp_path, how):
        template = take(store, raw)
        exported = export_template(store, "base", target=tmp_path / "out.img", compression=how)
        assert exported.image == tmp_path / f"out.img{how.suffix}"
        assert exported.hash == tmp_path / "out.img.hash"
        assert exported.digest == template.image.digest
        argv = [how.value, "-d", "-c", exported.image]
        content = subprocess.run(argv, check=True, capture_output=True).stdout
        assert hashlib.sha256(content).hexdigest() == exported.hash.read_text().strip()

    def test_the_suffix_tells_the_compression(self, store, raw, tmp_path):
        take(store, raw)
        target = tmp_path / "out.img.zst"
        exported = export_template(store, "base", target=target)
        assert exported.image == target
        assert target.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
        assert exported.metadata == tmp_path / "out.img.metadata"
        with pytest.raises(TemplateError, match="no name for a file of xz"):
            export_template(store, "base", target=target, compression=Compression.XZ)

    def test_layers_are_made_whole(self, store, raw, tmp_path):
        base = take(store, raw)
        overlay = create(tmp_path / "o.qcow2", "-F", "raw", "-b", base.image.path)
        take(store, overlay, name="top", version="1")
        exported = export_template(store, "top", target=tmp_path)
        assert exported.image == tmp_path / "top-1.qcow2"
        assert QemuImg().inspect(exported.image).backing is None
        assert is_same(exported.image, raw)
        found = hashlib.sha256(exported.image.read_bytes()).hexdigest()
        assert exported.hash.read_text().strip() == found

    def test_a_damaged_image_is_not_passed_on(self, store, raw, tmp_path):
        path = Path(take(store, raw).image.path)
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.write(b"worm")
        with pytest.raises(TemplateError, match="damaged"):
            export_template(store, "base", target=tmp_path / "out.img")
        assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "out"))]

    def test_what_is_there_stays(self, store, raw, tmp_path):
        take(store, raw)
        target = tmp_path / "out.img"
        target.write_text("mine")
        with pytest.raises(TemplateError, match="is there already"):
            export_template(store, "base", target=target)
        assert target.read_text() == "mine"

    def test_no_such_template_and_no_such_place(self, store, raw, tmp_path):
        with pytest.raises(TemplateNotFoundError):
            export_template(store, "base", target=tmp_path)
        take(store, raw)
        with pytest.raises(TemplateError, match="cannot write to"):
            export_template(store, "base", target=tmp_path / "nowhere" / "out.img")


def test_entries_are_readable_by_all_whatever_the_umask(store, raw):
    before = os.umask(0o077)
    try:
        template = take(store, raw)
    finally:
        os.umask(before)
    path = Path(template.image.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    for directory in (path.parent, path.parent.parent, store.path):
        assert directory.stat().st_mode & 0o055 == 0o055
