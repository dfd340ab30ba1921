"""Copies to and from guests, against a real OpenSSH and a real dropbear on loopback."""

import io
import os
import shutil
import stat
import tarfile
import threading
import time
from pathlib import Path

import paramiko
import pytest
from ssh_servers import make_dropbear, make_sshd

from lago_sdk.adapters.ssh import copies, fetches
from lago_sdk.errors import LagoError, PathNotFoundError, SSHError, VMError

ODD = [
    b"a b",
    b"-rf",
    b"new\nline\n",
    b"quote'\"`$(id)",
    b"\xff\xfe",
    b"*",
    "ü".encode(),
    b"back\\slash",
    b".hidden",
    b"..odd",
    b"x" * 200,
]


@pytest.fixture(scope="module", params=["openssh", "dropbear"])
def server(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("server")
    if request.param == "dropbear":
        made = make_dropbear(directory)
    else:
        made = make_sshd(directory, "Subsystem sftp internal-sftp")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def guest(server):
    if server.process is None:
        server.start()
    opened = server.guest()
    yield opened
    opened.close()


@pytest.fixture(params=["tar", "none"])
def tar(request, monkeypatch, tmp_path):
    """Whether the guest has tar; busybox's is tested on real VMs."""
    if request.param == "none":
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("readlink", "stat"):
            (tools / name).symlink_to(shutil.which(name))
        for module, name in ((copies, "_PROBE"), (fetches, "_LOOK")):
            monkeypatch.setattr(module, name, f"PATH={tools}\n{getattr(module, name)}")
    return request.param


@pytest.fixture
def host(tmp_path):
    made = tmp_path / "host"
    made.mkdir()
    return made


@pytest.fixture
def there(tmp_path):
    """A directory of the "guest"."""
    made = tmp_path / "there"
    made.mkdir()
    return made


def make_tree(top):
    top.mkdir()
    (top / "empty").mkdir(mode=0o750)
    (top / "deep" / "er").mkdir(parents=True)
    (top / "deep" / "er" / "file").write_text("content")
    (top / "run").write_bytes(b"#!/bin/sh\n")
    (top / "run").chmod(0o751)
    (top / "secret").write_bytes(b"s")
    (top / "secret").chmod(0o600)
    (top / "link").symlink_to("deep/er/file")
    (top / "dangling").symlink_to("nowhere")
    (top / "big").write_bytes(os.urandom(3_000_001))
    (top / "same").hardlink_to(top / "run")
    for name in ODD:
        Path(os.fsdecode(os.fsencode(top / "deep") + b"/" + name)).write_bytes(name)
    stamp = 1_000_000_000
    for path, names, files in os.walk(top, topdown=False):
        for name in [*names, *files]:
            os.utime(Path(path, name), (stamp, stamp), follow_symlinks=False)
        stamp += 1000
    (top / "deep").chmod(0o555)
    os.utime(top, (stamp, stamp))


def describe(top):
    """All of a tree: names, kinds, modes, times, content."""
    found = {}
    for path in [top, *top.rglob("*")]:
        info = path.lstat()
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("dir", stat.S_IMODE(info.st_mode), int(info.st_mtime))
        else:
            mode = stat.S_IMODE(info.st_mode)
            found[name] = ("file", mode, int(info.st_mtime), path.read_bytes())
    return found


def leftovers(directory):
    return [path.name for path in directory.iterdir() if path.name.startswith(".lago-copy")]


def test_a_tree_goes_and_comes_back(guest, host, there, tar):
    make_tree(host / "tree")
    if tar == "none":  # paramiko's SFTP knows text only
        (host / "tree" / "deep" / os.fsdecode(ODD[4])).unlink()
        os.utime(host / "tree" / "deep", (5, 5))
    before = describe(host / "tree")
    assert guest.copy_to([str(host / "tree")], str(there)) == ()
    assert describe(there / "tree") == before
    assert guest.copy_from([str(there / "tree")], host / "back") == ()
    assert describe(host / "back") == before
    assert leftovers(host) == leftovers(there) == []
    if tar != "none":
        back = host / "back"
        assert (back / "same").stat().st_ino == (back / "run").stat().st_ino
        assert (there / "tree" / "same").stat().st_nlink == 2


def test_a_file_under_a_new_name(guest, host, there, tar):
    (host / "a").write_bytes(b"x" * 100_000)
    (host / "a").chmod(0o640)
    guest.copy_to([str(host / "a")], str(there / "b"))
    assert (there / "b").read_bytes() == b"x" * 100_000
    assert stat.S_IMODE((there / "b").stat().st_mode) == 0o640
    guest.copy_from([str(there / "b")], host / "c")
    assert describe(host / "c") == describe(host / "a")
    (host / "a").write_bytes(b"new")
    guest.copy_to([str(host / "a")], str(there / "b"))
    guest.copy_from([str(there / "b")], host / "c")
    assert (host / "c").read_bytes() == b"new"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_as_sources_and_targets(guest, host, there, name):
    name = os.fsdecode(name)
    (host / name).write_bytes(b"1")
    guest.copy_to([str(host / name)], str(there))
    assert (there / name).read_bytes() == b"1"
    guest.copy_to([str(host / name)], str(there / f"{name}2"))
    (host / "back").mkdir()
    guest.copy_from([str(there / name), str(there / f"{name}2")], host / "back")
    assert (host / "back" / name).read_bytes() == b"1"
    assert (host / "back" / f"{name}2").read_bytes() == b"1"


def test_into_a_directory_that_is_there_it_is_added(guest, host, there, tar):
    make_tree(host / "tree")
    (there / "tree" / "deep").mkdir(parents=True)
    (there / "tree" / "own").write_text("kept")
    (there / "tree" / "run").write_text("old")
    if tar == "none":
        (host / "tree" / "deep" / os.fsdecode(ODD[4])).unlink()
        (host / "tree" / "link").unlink()  # replaced, its directory's time changes
        os.utime(host / "tree", (5, 5))
    guest.copy_to([str(host / "tree")], str(there))
    got = describe(there / "tree")
    assert got.pop("own")[-1] == b"kept"
    assert got == describe(host / "tree")
    (host / "in" / "tree" / "deep").mkdir(parents=True)
    (host / "in" / "tree" / "own").write_text("kept")
    (there / "tree" / "own").unlink()
    os.utime(there / "tree", (7, 7))
    guest.copy_from([str(there / "tree")], host / "in")
    got = describe(host / "in" / "tree")
    assert got.pop("own")[-1] == b"kept"
    assert got == describe(there / "tree")


def test_many_sources(guest, host, there):
    names = [f"file-{number:04}" for number in range(700)]
    for name in names:
        (host / name).write_text(name)
    guest.copy_to([str(host / name) for name in names], str(there))
    assert sorted(path.name for path in there.iterdir()) == names
    (host / "back").mkdir()
    guest.copy_from([str(there / name) for name in names], host / "back")
    assert {path.name: path.read_text() for path in (host / "back").iterdir()} == {
        name: name for name in names
    }


def test_relative_paths_are_below_the_login_directory(guest, host):
    home = guest.run("pwd").out.strip()
    (host / "f").write_text("1")
    for target in ("lago-test-file", "~/lago-test-file"):
        guest.copy_to([str(host / "f")], target)
        assert guest.run(f"cat {home}/lago-test-file; rm {home}/lago-test-file").out == "1"


def test_links_can_be_followed(guest, host, there, tar):
    (host / "tree").mkdir()
    (host / "outside").write_text("o")
    (host / "tree" / "link").symlink_to(host / "outside")
    (host / "named").symlink_to("tree")
    guest.copy_to([str(host / "named")], str(there / "kept"))
    assert (there / "kept" / "link").is_symlink()
    guest.copy_to([str(host / "named")], str(there / "followed"), follow=True)
    assert not (there / "followed" / "link").is_symlink()
    skipped = guest.copy_from([str(there / "kept")], host / "kept")
    assert [item.path for item in skipped] == [f"{there}/kept/link"]
    assert list((host / "kept").iterdir()) == []
    guest.copy_from([str(there / "kept")], host / "followed", follow=True)
    assert (host / "followed" / "link").read_text() == "o"


def test_a_link_in_a_circle_is_an_error_when_followed(guest, host, there):
    (host / "tree").mkdir()
    (host / "tree" / "self").symlink_to(".")
    with pytest.raises(LagoError, match="that it lies in"):
        guest.copy_to([str(host / "tree")], str(there), follow=True)


def test_sparse_files_stay_sparse(guest, host, there):
    with (host / "disk").open("wb") as file:
        file.truncate(200_000_000)
        for begin in (0, 50_000_000, 199_999_000):
            file.seek(begin)
            file.write(b"x" * 1000)
    begin = time.monotonic()
    guest.copy_to([str(host / "disk")], str(there))
    assert (there / "disk").stat().st_blocks * 512 < 1_000_000
    guest.copy_from([str(there / "disk")], host / "back")
    assert time.monotonic() - begin < 10
    assert (host / "back").stat().st_blocks * 512 < 10_000_000
    assert (host / "back").read_bytes() == (host / "disk").read_bytes()


def test_special_files_are_left_out(guest, host, there, tar):
    (host / "tree").mkdir()
    os.mkfifo(host / "tree" / "pipe")
    (host / "tree" / "file").write_text("1")
    skipped = guest.copy_to([str(host / "tree")], str(there))
    assert [item.path for item in skipped] == [str(host / "tree" / "pipe")]
    os.mkfifo(there / "tree" / "pipe")
    skipped = guest.copy_from([str(there / "tree")], host / "back")
    assert [item.path for item in skipped] == [f"{there}/tree/pipe"]
    assert [path.name for path in (host / "back").iterdir()] == ["file"]


def test_progress(guest, host, there):
    (host / "f").write_bytes(b"x" * 5_000_000)
    seen = []
    guest.copy_to([str(host / "f")], str(there), on_progress=lambda *told: seen.append(told))
    assert seen[-1] == (5_000_000, 5_000_000)
    seen.clear()
    guest.copy_from([str(there / "f")], host / "g", on_progress=lambda *told: seen.append(told))
    assert seen[-1] == (5_000_000, 5_000_000)


def test_what_is_wrong_is_told_before_anything_is_copied(guest, host, there, tar):
    (host / "dir").mkdir()
    (host / "file").write_text("1")
    (there / "file").write_text("2")
    (there / "dir").mkdir()

    def to(sources, target, match, kind=LagoError):
        with pytest.raises(kind, match=match):
            guest.copy_to([str(host / name) for name in sources], str(target))

    def back(sources, target, match, kind=LagoError):
        with pytest.raises(kind, match=match):
            guest.copy_from([str(there / name) for name in sources], target)

    to(["gone"], there, "there is no '.*gone' on this machine")
    to(["file"], there / "no" / "way", "there is no directory '.*/no' in 'web'", VMError)
    to(["file", "dir"], there / "no", "'.*/no' is not there in 'web'", VMError)
    to(["file", "dir"], there / "file", "'.*/file' is not a directory in 'web'", VMError)
    to(["dir"], there / "file", "not a directory, and a directory shall go there", VMError)
    back(["gone"], host, "'web' does not have '.*gone'", PathNotFoundError)
    back(["file"], host / "no" / "way", "there is no directory '.*/no' on this machine")
    back(["file", "dir"], host / "no", "there is no directory '.*/no' on this machine")
    back(["dir"], host / "file", "is not a directory, unlike")
    (host / "x").mkdir()
    (host / "x" / "file").mkdir()
    back(["file"], host / "x", "is a directory, unlike")
    assert leftovers(host) == leftovers(there) == []
    assert (there / "file").read_text() == "2"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system")
def test_a_full_guest_is_told_and_left_as_it_was(guest, host, there, tar):
    told = {"tar": "no space is left in 'web'", "none": "does not take .* by SFTP: Failure"}[tar]
    mounted = there / "small"  # why not, SFTP has no word for
    mounted.mkdir()
    guest.run(f"mount -t tmpfs -o size=1m none {mounted}").check()
    try:
        (host / "f").write_bytes(b"x" * 5_000_000)
        with pytest.raises(VMError, match=told) as caught:
            guest.copy_to([str(host / "f")], str(mounted))
        assert caught.value.hint is not None
        assert guest.run(f"ls -A {mounted}").out == ""
        (mounted / "f").write_text("old")
        with pytest.raises(VMError, match=told):
            guest.copy_to([str(host / "f")], str(mounted))
        assert (mounted / "f").read_text() == "old"
    finally:
        guest.run(f"umount {mounted}").check()


def test_a_server_that_cannot_rename_over_a_file(guest, host, there, tar, monkeypatch):
    def refuse(*paths):
        raise OSError("Operation unsupported")

    monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", refuse)
    (host / "f").write_text("new")
    (there / "f").write_text("old")
    guest.copy_to([str(host / "f")], str(there))
    assert (there / "f").read_text() == "new"
    assert leftovers(there) == []


def test_a_hostile_guest_writes_nothing_outside(guest, host, there, monkeypatch):
    (there / "x").mkdir()
    evil = there / "evil.tar"
    top = f".{there}/x"
    with tarfile.open(evil, mode="w") as archive:

        def add(name, kind=tarfile.REGTYPE, link=""):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o6777
            member.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"evil"))

        add(top, tarfile.DIRTYPE)
        add(f"{top}/good")
        add(f"{top}/../../escape")
        add("/etc/escape")
        add(f"{there}/x/abs", tarfile.SYMTYPE, str(host))
        add(f"{top}/abs/escape")
        add(f"{top}/up", tarfile.SYMTYPE, "../..")
        add(f"{top}/hard", tarfile.LNKTYPE, "/etc/passwd")
        add(f"{top}/device", tarfile.CHRTYPE)
        add(f".{there}/other/escape")
    stream = guest.stream
    monkeypatch.setattr(
        guest, "stream", lambda line: stream(f"cat {evil}" if line.startswith("tar") else line)
    )
    (host / "into").mkdir()
    skipped = guest.copy_from([f"{there}/x"], host / "into")
    found = {str(path.relative_to(host)) for path in host.rglob("*")}
    assert found == {"into", "into/x", "into/x/good", "into/x/abs", "into/x/abs/escape"}
    assert not any(path.is_symlink() for path in host.rglob("*"))
    assert stat.S_IMODE((host / "into" / "x" / "good").stat().st_mode) == 0o777
    assert {"up", "hard", "device"} <= {Path(item.path).name for item in skipped}


def test_a_connection_that_breaks_leaves_nothing(server, guest, host, there):
    (there / "big").write_bytes(bytes(80_000_000))

    def kill_soon(done, total):
        if done > 1_000_000 and server.process is not None:
            server.kill()

    with pytest.raises(SSHError, match="broke off") as caught:
        guest.copy_from([str(there / "big")], host / "back", on_progress=kill_soon)
    assert "nothing of it was kept" in str(caught.value)
    assert list(host.iterdir()) == []
    assert server.process is None
    server.start()
    (host / "big").write_bytes(bytes(80_000_000))
    with pytest.raises(SSHError, match="broke off"):
        guest.copy_to([str(host / "big")], str(there / "copy"), on_progress=kill_soon)
    assert not (there / "copy").exists()
    while server.process is not None:  # the thread that kills it is at it
        time.sleep(0.01)


def test_an_interrupted_copy_leaves_nothing(guest, host, there):
    (host / "big").write_bytes(bytes(80_000_000))

    def stop(done, total):
        if done > 10_000_000:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guest.copy_to([str(host / "big")], str(there), on_progress=stop)
    end = time.monotonic() + 5
    while any(there.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert list(there.iterdir()) == []


def test_copies_run_beside_each_other(guest, host, there):
    for number in range(4):
        (host / f"f{number}").write_bytes(bytes([number]) * 3_000_000)
    threads = [
        threading.Thread(target=guest.copy_to, args=([str(host / f"f{n}")], str(there)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert (there / f"f{number}").read_bytes() == bytes([number]) * 3_000_000
