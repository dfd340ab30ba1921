"""Copies to and from a real guest, whose tar is busybox's and whose server is dropbear."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lago_sdk import Config, PathNotFoundError, Prefix, VMError
from lago_sdk.adapters.ssh import copies, fetches

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
SOLO = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT]}
SPEC = {"domains": {"solo": SOLO}, "nets": {"lan": {"type": "nat", "management": True}}}
ODD = [b"a b", b"-rf", b"new\nline\n", b"q'\"`$(id)", b"\xff\xfe", b"*", b".hidden", b"..x"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("copies") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture
def vm(lab):
    vm = lab.vms["solo"]
    vm.ssh("rm -rf /tmp/there; mkdir /tmp/there").check()
    return vm


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o750)
    (top / "run").write_bytes(b"#!/bin/sh\n")
    (top / "run").chmod(0o751)
    (top / "same").hardlink_to(top / "run")
    (top / "link").symlink_to("deep/er")
    (top / ("long" * 40)).write_bytes(os.urandom(300_001))
    for name in ODD:
        Path(os.fsdecode(os.fsencode(top / "deep") + b"/" + name)).write_bytes(name)
    stamp = 1_000_000_000
    for path, names, files in os.walk(top, topdown=False):
        for name in [*names, *files]:
            os.utime(Path(path, name), (stamp, stamp), follow_symlinks=False)
        stamp += 1000
    os.utime(top, (stamp, stamp))
    (top / "deep").chmod(0o555)
    return top


def describe(top):
    """All of a tree: names, modes, times, content."""
    found = {}
    for path in [top, *top.rglob("*")]:
        info = path.lstat()
        rest = (stat.S_IMODE(info.st_mode), int(info.st_mtime))
        if path.is_symlink():
            rest = str(path.readlink())
        elif path.is_file():
            rest = (*rest, path.read_bytes())
        found[os.fsencode(path.relative_to(top))] = rest
    return found


def test_a_tree_goes_and_comes_back(vm, tree, tmp_path):
    before = describe(tree)
    assert vm.copy_to(tree, "/tmp/there") == ()
    assert vm.ssh("stat -c '%a %Y' /tmp/there/tree/deep").out == f"555 {before[b'deep'][1]}\n"
    assert vm.ssh("ls -A /tmp/there").out == "tree\n"
    assert vm.copy_from("/tmp/there/tree", tmp_path / "back") == ()
    assert describe(tmp_path / "back") == before
    assert (tmp_path / "back" / "same").stat().st_nlink == 2
    vm.copy_to(tree, "/tmp/there")  # added to what is there
    assert vm.ssh("find /tmp/there | wc -l").out == vm.ssh("find /tmp/there/tree/.. | wc -l").out
    vm.copy_from("/tmp/there/tree", tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "tree"]


@pytest.mark.root_only
def test_odd_names_as_sources_and_targets(vm, tmp_path):
    names = [os.fsdecode(name) for name in ODD]
    for name in names:
        (tmp_path / name).write_bytes(os.fsencode(name))
    vm.copy_to([tmp_path / name for name in names], "/tmp/there")
    (tmp_path / "back").mkdir()
    vm.copy_from([f"/tmp/there/{name}" for name in names], tmp_path / "back")
    assert {
        os.fsencode(path.name): path.read_bytes() for path in (tmp_path / "back").iterdir()
    } == {name: name for name in ODD}


@pytest.mark.root_only
def test_guests_without_tar_are_served_by_sftp(vm, tmp_path, monkeypatch):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "f").write_bytes(b"x" * 500_000)
    (tmp_path / "tree" / "link").symlink_to("sub")
    monkeypatch.setattr(copies, "_PROBE", "exit 1")  # as where there is no shell
    monkeypatch.setattr(fetches, "_LOOK", "exit 1")
    vm.copy_to(tmp_path / "tree", "/tmp/there/new")
    vm.copy_from("/tmp/there/new", tmp_path / "back")
    assert describe(tmp_path / "back") == describe(tmp_path / "tree")


@pytest.mark.root_only
def test_mistakes_are_told_and_nothing_is_left(vm, tree, tmp_path):
    (tmp_path / "big").write_bytes(bytes(8_000_000))
    with pytest.raises(VMError, match="there is no directory '/no' in 'solo'"):
        vm.copy_to(tree, "/no/way")
    vm.ssh("mkdir /tmp/there/big").check()
    with pytest.raises(VMError, match="is a directory, and a file shall go there"):
        vm.copy_to(tmp_path / "big", "/tmp/there")
    with pytest.raises(PathNotFoundError, match="'solo' does not have '/gone'"):
        vm.copy_from(["/etc/hostname", "/gone"], tmp_path)
    vm.ssh("mkdir /tmp/there/small; mount -t tmpfs -o size=1m none /tmp/there/small").check()
    try:
        with pytest.raises(VMError, match="no space is left in 'solo'") as caught:
            vm.copy_to(tmp_path / "big", "/tmp/there/small")
        assert caught.value.hint == "free some there, or give it a bigger disk"
        assert vm.ssh("ls -A /tmp/there/small").out == ""
    finally:
        vm.ssh("umount /tmp/there/small").check()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big", "tree"]


def test_on_the_command_line(lab, vm, tree, tmp_path):
    def lagoctl(*words):
        argv = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    done = lagoctl("copy-to-vm", "solo", str(tree), "/tmp/there/t")
    assert (done.returncode, done.stdout) == (0, "")
    assert "[ok] copy to solo: " in done.stderr
    done = lagoctl("copy-from-vm", "solo", "/tmp/there/t", "/etc/hostname", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert describe(tmp_path / "t") == describe(tree)
    assert (tmp_path / "hostname").read_text().strip() == "solo"
    done = lagoctl("copy-from-vm", "solo", "/gone", str(tmp_path))
    assert done.returncode == 2
    assert "error: 'solo' does not have '/gone'" in done.stderr
