"""Killed at any step of an export or import; disks that fill up; exports of evil people."""

import json
import shutil
import subprocess

import pytest

from functional.killed import die_at
from lago_sdk import Config, ExportError, LagoError, Prefix

pytestmark = [pytest.mark.root_only, pytest.mark.private_only]

ROOT = {"type": "template", "template_name": "tiny", "name": "root"}
RAW = {"type": "empty", "size": "32M", "name": "raw", "format": "raw"}
SPEC = {
    "domains": {"web": {"nics": [{"net": "lan"}], "disks": [ROOT, RAW]}},
    "nets": {"lan": {}},
}

PACKED = {"standalone": True, "compress": "zstd"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("source") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        yield prefix


@pytest.fixture(scope="module")
def whole(lab, tmp_path_factory):
    return lab.export(tmp_path_factory.mktemp("whole") / "out").directory


@pytest.mark.parametrize(
    "point",
    [
        "before adapters.conversion convert",
        "after adapters.conversion convert",
        "after templates.packing pack",
        "before service.exporting.write render_manifest",
        "before adapters.files publish",
    ],
)
def test_an_export_that_was_cut_off_is_none(point, lab, tmp_path):
    target = tmp_path / "out"
    die_at(point, lab, "export", target, **PACKED)
    left = [path.name for path in tmp_path.iterdir()]
    assert not target.exists()
    assert len(left) == 1
    assert left[0].startswith(".out.")
    with pytest.raises(LagoError, match="is no export"):
        Prefix.load_export(target, workdir=tmp_path / "w")
    lab.export(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with Prefix.load_export(target, workdir=tmp_path / "w") as again:
        assert list(again.vms) == ["web"]


def test_an_export_that_was_renamed_is_whole(lab, tmp_path):
    die_at("after adapters.files publish", lab, "export", tmp_path / "out", **PACKED)
    with Prefix.load_export(tmp_path / "out", workdir=tmp_path / "w") as again:
        assert list(again.vms) == ["web"]


@pytest.mark.parametrize(
    "point",
    [
        "before service.exporting.load load_manifest",
        "after service.store PrefixStore.create",
        "after adapters.qemu_img QemuImg.copy",
        "before service.making.create create_seed",
    ],
)
def test_an_import_that_was_cut_off_is_done_again(point, whole, tmp_path):
    workdir = tmp_path / "w"
    die_at(point, None, "load_export", whole, workdir=workdir)
    with Prefix.load_export(whole, workdir=workdir) as lab:
        assert lab.is_complete
        assert [disk.name for disk in lab.plan.vms[0].disks] == ["root", "raw"]
    assert not workdir.exists()


def test_an_import_that_was_cut_off_can_be_destroyed_or_started(whole, tmp_path):
    workdir = tmp_path / "w"
    die_at("after adapters.qemu_img QemuImg.copy", None, "load_export", whole, workdir=workdir)
    Prefix.open(workdir).destroy()
    assert not workdir.exists()


def test_a_disk_that_fills_up_leaves_nothing(lab, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", place], check=True)
    try:
        for options in ({}, {"compress": "zstd"}, {"ova": True}):
            with pytest.raises(LagoError) as caught:
                lab.export(place / "out", standalone=True, **options)
            assert "the file system is full: free some space" in str(caught.value)
            assert list(place.iterdir()) == []
        assert lab.export(place / "out").size < 1 << 20
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def damage(whole, tmp_path, change):
    """Copy an export and change it."""
    target = tmp_path / "damaged"
    shutil.copytree(whole, target, symlinks=True)
    change(target)
    return target


def edit(change):
    """Change the manifest."""

    def apply(target):
        path = target / "export.json"
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    return apply


def resign(target):
    """Make all digests right again, as whoever forges an export would."""
    import hashlib

    def update(record):
        for name, file in record["files"].items():
            data = (target / name).read_bytes()
            file.update(size=len(data), digest=f"sha256:{hashlib.sha256(data).hexdigest()}")

    edit(update)(target)


def rewrite(old, new):
    """Change the init file, and sign it."""

    def apply(target):
        path = target / "LagoInitFile"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        resign(target)

    return apply


def rename_file(name):
    def change(record):
        record["files"][name] = record["files"].pop("web_raw.raw")

    return edit(change)


def cut(target):
    path = target / "web_root.qcow2"
    path.write_bytes(path.read_bytes()[:-1])


def flip(target):
    path = target / "web_root.qcow2"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def put_link(target):
    (target / "web_raw.raw").unlink()
    (target / "web_raw.raw").symlink_to("/etc/passwd")


def put_on_passwd(target):
    path = str(target / "web_root.qcow2")
    command = ["qemu-img", "rebase", "-u", "-F", "raw", "-b", "/etc/passwd", path]
    subprocess.run(command, check=True)
    resign(target)


def put_in_passwd(target):
    path = target / "web_root.qcow2"
    path.unlink()
    data = target / "data.raw"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data}", path, "1M"]
    subprocess.run(command, check=True)
    resign(target)


def forget_template(target):
    edit(lambda record: record.update(templates={}))(target)


def swap_template(target):
    other = "sha256:" + "0" * 64

    def change(record):
        record["templates"] = dict.fromkeys(record["templates"], other)

    edit(change)(target)
    text = (target / "LagoInitFile").read_text()
    digest = text.partition("base-digest: ")[2].partition("\n")[0]
    rewrite(digest, f'"{other}"')(target)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (cut, "is truncated"),
        (flip, "is damaged: it has the digest"),
        (put_link, "is a link"),
        (lambda target: (target / "web_raw.raw").unlink(), "is missing"),
        (lambda target: (target / "export.json").unlink(), "is no export"),
        (lambda target: (target / "export.json").write_text("{"), "is damaged"),
        (edit(lambda record: record.update(schema=9)), "has schema 9"),
        (edit(lambda record: record["files"].pop("LagoInitFile")), "names no LagoInitFile"),
        (edit(lambda record: record.update(files=[])), "is damaged"),
        (rename_file("../web_raw.raw"), "not one of its own directory"),
        (rename_file("/etc/passwd"), "not one of its own directory"),
        (rewrite("$LAGO_INITFILE_PATH/web_raw.raw", "/etc/passwd"), "outside of it"),
        (rewrite("$LAGO_INITFILE_PATH/web_raw.raw", "../../etc/passwd"), "outside of it"),
        (rewrite("$LAGO_INITFILE_PATH/web_raw.raw", "$HOME/x"), "outside of it"),
        (rewrite("    nics:", "    shares: [{source: /etc, tag: etc}]\n    nics:"), "'shares'"),
        (rewrite("    nics:", "    xml: <serial type='pty'/>\n    nics:"), "'xml'"),
        (rewrite("nets:", "nots:"), "net"),
        (put_on_passwd, "an image on '/etc/passwd'"),
        (put_in_passwd, "its content is in another file"),
        (forget_template, "which is no template of the export"),
        (swap_template, "is not the one that"),
    ],
)
def test_exports_that_cannot_be_trusted(change, told, whole, tmp_path):
    target = damage(whole, tmp_path, change)
    with pytest.raises(LagoError) as caught:
        Prefix.load_export(target, workdir=tmp_path / "w")
    assert told in str(caught.value)
    assert not (tmp_path / "w").exists()


def test_init_sees_that_a_template_is_another_one(whole, tmp_path):
    target = damage(whole, tmp_path, swap_template)
    with pytest.raises(LagoError, match="is not the one that"):
        Prefix.create(target / "LagoInitFile", workdir=tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_compressed_export_that_is_damaged_although_its_digest_is_right(lab, tmp_path):
    target = lab.export(tmp_path / "out", compress="xz").directory
    (target / "web_raw.raw.xz").write_bytes((target / "web_raw.raw.xz").read_bytes()[:-20])
    resign(target)
    with pytest.raises(LagoError, match="cannot decompress"):
        Prefix.load_export(target, workdir=tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_running_vms_are_not_exported(lab, tmp_path):
    lab.start(wait=False)
    try:
        with pytest.raises(ExportError, match="'web' is running") as caught:
            lab.export(tmp_path / "out")
        assert caught.value.hint == "lagoctl shutdown web"
        assert list(tmp_path.iterdir()) == []
    finally:
        lab.stop()
