"""Artifacts come from guests that run and from disks of those that do not, hostile ones too."""

import hashlib
import json
import subprocess
import sys

import pytest

from lago_sdk import Config, ExtractRoad, PathNotFoundError, Prefix, VMError

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
ARTIFACTS = ["/etc/os-release", "/var/evil", "/root/data", "/nowhere", "/etc/hostname"]
VM = {
    "memory": 192,
    "vcpu": 1,
    "nics": [{"net": "lan"}],
    "disks": [ROOT],
    "artifacts": ARTIFACTS,
}
SPEC = {
    "domains": {"live": VM, "dead": VM},
    "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}},
}

HOSTILE = r"""
set -e
mkdir -p /var/evil/sub && cd /var/evil
ln -s /etc/passwd absolute
ln -s ../../../../etc/passwd upwards
ln -s sub/../../../etc/passwd detour
ln -s .. parent
ln -s sub/fine inside
ln -s ../inside sub/back
echo fine > sub/fine
ln sub/fine hard
echo a > "$(printf 'new\nline')"
echo b > "quo'te\"s and \$(touch pwned)"
echo c > "..."
echo d > "$(printf '\377\376')"
echo e > -rf
mkfifo pipe
mknod device c 1 3
chmod 4755 hard
dd if=/dev/urandom of=/root/data bs=1M count=3 2>/dev/null
sha256sum /root/data
sync
"""
FINE = {"sub/fine", "hard", "new\nline", "quo'te\"s and $(touch pwned)", "...", "-rf"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("collect") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture(scope="module")
def digests(lab):
    """What the guests say of their data; one of them is powered off without a word after that."""
    found = {
        name: vm.ssh(HOSTILE, timeout=60).check().out.split()[0] for name, vm in lab.vms.items()
    }
    lab.stop("dead")
    return found


@pytest.fixture(scope="module")
def collected(lab, digests, tmp_path_factory):
    return lab.collect_artifacts(tmp_path_factory.mktemp("out") / "evidence").check()


@pytest.mark.parametrize("name", ["live", "dead"])
def test_everything_comes_by_the_right_road(name, collected, digests):
    road = {"live": ExtractRoad.SSH, "dead": ExtractRoad.DISK}[name]
    vm = collected.vms[name]
    assert vm.road is road
    assert vm.missing == ("/nowhere",)
    assert set(vm.collected) == set(ARTIFACTS) - {"/nowhere"}
    directory = collected.output_dir / name
    data = (directory / "_root_data").read_bytes()
    assert hashlib.sha256(data).hexdigest() == digests[name]
    assert "ID=" in (directory / "_etc_os-release").read_text()
    assert (directory / "_etc_hostname").read_text().strip() == name
    assert {path.name for path in directory.iterdir()} == {
        "_etc_os-release", "_var_evil", "_root_data", "_etc_hostname",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["live", "dead"])
def test_what_is_hostile_stays_inside(name, collected):
    evil = collected.output_dir / name / "_var_evil"
    files = {
        str(path.relative_to(evil)).encode(errors="surrogateescape")
        for path in evil.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert files == {name.encode() for name in FINE} | {b"\xff\xfe"}
    for path in evil.rglob("*"):
        assert path.resolve().is_relative_to(evil.resolve())
        assert not path.stat().st_mode & 0o6000
    assert (evil / "inside").read_text() == (evil / "sub/back").read_text() == "fine\n"
    assert (evil / "hard").stat().st_ino == (evil / "sub/fine").stat().st_ino
    left = {item.path.removeprefix("/var/evil/") for item in collected.vms[name].skipped}
    assert left == {"absolute", "upwards", "detour", "parent", "pipe", "device"}
    assert not (evil / "pwned").exists()


def test_a_path_may_be_asked_for_twice_and_inside_another(lab, digests, tmp_path):
    for name, vm in lab.vms.items():
        place = tmp_path / name
        found = vm.extract_paths(
            [("/var/evil", place / "all"), ("/var/evil/sub", place / "sub"),
             ("/var/evil/hard", place / "hard"), ("/var/evil/hard", place / "again")]
        )  # fmt: skip
        assert len(found.collected) == 4
        assert (place / "sub/fine").read_text() == (place / "again").read_text() == "fine\n"
        assert (place / "all/sub/fine").exists()


def test_missing_paths_fail_where_asked(lab, digests, tmp_path):
    for name, vm in lab.vms.items():
        wanted = [("/nowhere", tmp_path / "x"), ("/etc/hostname", tmp_path / name)]
        with pytest.raises(PathNotFoundError, match="/nowhere"):
            vm.extract_paths(wanted, ignore_missing=False)
        assert (tmp_path / name).read_text().strip() == name


@pytest.mark.root_only
def test_a_paused_vm_is_told_and_the_others_are_collected(lab, digests, tmp_path):
    lab.suspend("live")
    try:
        report = lab.collect_artifacts(tmp_path / "out")
    finally:
        lab.resume("live")
    assert report.vms["dead"].collected
    with pytest.raises(VMError, match="paused"):
        report.check()


@pytest.mark.root_only
def test_the_disk_of_a_running_vm_is_never_opened(lab, digests, tmp_path):
    from lago_sdk.adapters.offline import Guestfs, LocalDisks
    from lago_sdk.errors import ImageError
    from lago_sdk.spec.disk import DiskFormat

    disks = LocalDisks(Guestfs({}, has_kvm=False))
    image = lab.path / lab.vms["live"].plan.disks[0].path
    with (
        pytest.raises(ImageError, match="something uses the disk"),
        disks.open(image, DiskFormat.QCOW2, read_only=True),
    ):
        pass


@pytest.mark.root_only
def test_lagoctl_collects_and_rotates(lab, digests, tmp_path):
    def lagoctl(*arguments):
        command = [sys.executable, "-m", "lago_cli", *arguments, "-w", str(lab.path.parent)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    first = lagoctl("collect", "--output", "out", "dead")
    assert first.returncode == 0, first.stderr
    assert "missing" in first.stdout
    second = lagoctl("collect", "--output", "out", "-f", "json")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["live"]["by"] == "ssh"
    assert "the old output is in" in second.stderr
    assert sorted(path.name[:4] for path in tmp_path.iterdir()) == ["out", "out."]
    third = lagoctl("collect", "--output", "out", "--no-skip")
    assert third.returncode == 2
    assert "does not have '/nowhere'" in third.stderr
