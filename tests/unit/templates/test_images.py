"""The pieces images are made of: trees, cpio archives, ext4, boot sectors, kernel modules."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from lago_sdk.errors import TemplateError
from lago_sdk.templates.cpio import render_cpio
from lago_sdk.templates.debian import Apt
from lago_sdk.templates.ext4 import create_ext4
from lago_sdk.templates.grub import SECTOR, write_boot_sectors
from lago_sdk.templates.modules import Modules
from lago_sdk.templates.tree import Directory, File, Link, Tree

UUID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def tree(tmp_path):
    source = tmp_path / "a file with blanks"
    source.write_bytes(b"from a file")
    made = Tree()
    made.add("usr/bin/tool", File(source, 0o755))
    made.add("bin/sh", Link("/usr/bin/tool"))
    made.add("etc/secret", File(b"text\n", 0o600))
    made.add("tmp", Directory(0o1777))
    return made


def test_a_tree_lists_directories_before_what_is_in_them(tree):
    paths = [path for path, _ in tree.list()]
    assert paths == ["bin", "bin/sh", "etc", "etc/secret", "tmp", "usr", "usr/bin", "usr/bin/tool"]


def test_the_kernels_archive_is_read_by_cpio(tree, tmp_path):
    if shutil.which("cpio") is None:
        pytest.fail("cpio is needed")
    argv = ["cpio", "-idm", "--quiet", "--no-preserve-owner"]
    target = tmp_path / "out"
    target.mkdir()
    subprocess.run(argv, input=render_cpio(tree), cwd=target, check=True)
    assert (target / "usr/bin/tool").read_bytes() == b"from a file"
    assert (target / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (target / "bin/sh").readlink().as_posix() == "/usr/bin/tool"
    assert (target / "tmp").stat().st_mode & 0o7777 == 0o1777


def make_ext4(tree, directory, name):
    scratch = directory / f"{name}.scratch"
    scratch.mkdir()
    path = directory / name
    create_ext4(
        path,
        tree,
        offset=1 << 20,
        size=16 << 20,
        label="test",
        uuid=UUID,
        timestamp=1704067200,
        scratch=scratch,
    )
    return path


def debugfs(path, request):
    tool = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin")
    argv = [tool, "-R", request, f"{path}?offset={1 << 20}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_ext4_holds_the_tree_with_root_as_owner(tree, tmp_path):
    path = make_ext4(tree, tmp_path, "disk")
    assert debugfs(path, "cat /usr/bin/tool") == "from a file"
    assert "/usr/bin/tool" in debugfs(path, "stat /bin/sh")
    shown = debugfs(path, "stat /etc/secret")
    assert "Mode:  0600" in shown
    assert "User:     0   Group:     0" in shown
    assert "Mode:  01777" in debugfs(path, "stat /tmp")


def test_the_same_tree_gives_the_same_file_system(tree, tmp_path):
    one, two = (make_ext4(tree, tmp_path, name).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_tree_that_does_not_fit_is_an_error(tree, tmp_path):
    tree.add("large", File(bytes(range(256)) * (80 << 10)))
    with pytest.raises(TemplateError, match="cannot fill"):
        make_ext4(tree, tmp_path, "disk")


def test_boot_sectors(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    boot = b"B" * 512
    write_boot_sectors(disk, boot=boot, core=b"CORE", signature=7, partition_size=2 << 20)
    data = disk.read_bytes()
    assert data[:440] == boot[:440]
    assert struct.unpack_from("<I", data, 440) == (7,)
    assert data[446] == 0x80
    assert data[450] == 0x83
    assert struct.unpack_from("<II", data, 454) == (2048, (2 << 20) // SECTOR)
    assert data[510:516] == b"\x55\xaaCORE"
    assert len(data) == 4 << 20


def test_a_core_image_that_reaches_the_partition_is_refused(tmp_path):
    disk = tmp_path / "disk"
    disk.touch()
    with pytest.raises(TemplateError, match="too large"):
        write_boot_sectors(disk, boot=b"", core=bytes(1 << 20), signature=1, partition_size=512)


@pytest.fixture
def modules(tmp_path):
    for name, depends in {"a": "b,c-d", "b": "", "c-d": "b", "lonely": ""}.items():
        path = tmp_path / "kernel" / f"{name}.ko"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x7fELF\x00license=GPL\x00depends=" + depends.encode() + b"\x00x=y\x00")
    return Modules(tmp_path)


def test_modules_come_after_those_they_need(modules):
    assert [path.stem for path in modules.list(["a", "b"])] == ["b", "c-d", "a"]
    assert [path.stem for path in modules.list(["c_d"])] == ["b", "c-d"]


def test_modules_dep_names_what_is_needed_last_first(modules):
    assert modules.render_dep(modules.list(["a"])) == (
        "kernel/b.ko:\nkernel/c-d.ko: kernel/b.ko\nkernel/a.ko: kernel/c-d.ko kernel/b.ko\n"
    )


def test_an_unknown_module_is_named(modules):
    with pytest.raises(TemplateError, match="'nope'"):
        modules.list(["nope"])


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the host has no apt")
def test_without_package_lists_the_hint_is_to_fetch_them(tmp_path):
    with pytest.raises(TemplateError) as caught:
        Apt(tmp_path, arch="amd64").fetch(["no-such-package-anywhere"])
    assert "apt-get update" in caught.value.hint
