"""Forks of several VMs: one moment of all, lives of their own, and whoever makes them is killed."""

import json
import subprocess
import sys
import time

import pytest

from functional.conftest import list_processes
from functional.killed import die_at
from functional.small_disk import small_disk
from lago_sdk import Config, Prefix, SnapshotError, VMState, WorkdirError
from lago_sdk.service.forks import space

pytestmark = [pytest.mark.root_only, pytest.mark.private_only]

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
RAW = {"type": "empty", "size": "8M", "name": "raw", "dev": "vdb", "format": "raw"}
NETS = {"lan": {"dhcp": {"start": 100, "end": 254}}}

STORE = "service.snapshots.store SnapshotStore"
HYPERVISOR = "adapters.libvirt.hypervisor LibvirtHypervisor"
IMAGES = "adapters.qemu_img QemuImg"


def small(*disks):
    return {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT, *disks]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    """``web`` and ``db`` run, and ``spare`` is off."""
    spec = {"domains": {"web": small(), "db": small(RAW), "spare": small()}, "nets": NETS}
    workdir = tmp_path_factory.mktemp("forks") / "w"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start(["web", "db"])
        for vm in ("web", "db"):
            note(prefix, vm, "first")
            boot_id(prefix, vm)  # the kernel makes it when it is first asked
        yield prefix


@pytest.fixture(autouse=True)
def only_the_lab(lab):
    """Every test finds the lab running, and no fork, whatever the one before did."""
    yield
    for path in list_forks(lab):
        Prefix.open_path(path).destroy()
    lab.start(["web", "db"])


def note(prefix, vm, word):
    write = f"echo {word} > /root/note; sync; echo {word} > /tmp/note"
    raw = f"; echo {word} | dd of=/dev/vdb conv=fsync 2>/dev/null" if vm == "db" else ""
    prefix.vms[vm].ssh(write + raw).check()


def read(prefix, vm):
    raw = "; head -c 16 /dev/vdb | tr -d '\\0' | head -n 1" if vm == "db" else ""
    return set(prefix.vms[vm].ssh(f"cat /root/note /tmp/note{raw}").check().out.split())


def boot_id(prefix, vm):
    return prefix.vms[vm].ssh("cat /proc/sys/kernel/random/boot_id").check().out


def list_forks(lab):
    paths = [path for path in lab.path.parent.iterdir() if not path.is_symlink()]
    return sorted(path for path in paths if path.is_dir() and path != lab.path)


def list_unneeded_layers(prefix):
    """Layers of a prefix that none of its disks lies on."""
    needed = set()
    for image in (prefix.path / "images").glob("*.qcow2"):
        command = ["qemu-img", "info", "-U", "--backing-chain", "--output=json", image]
        done = subprocess.run(command, capture_output=True, check=True)
        needed |= {item["filename"].rpartition("/")[2] for item in json.loads(done.stdout)}
    layers = prefix.path / "images" / "layers"
    return [path.name for path in layers.glob("*") if path.name not in needed]


def count_lines(prefix):
    return int(prefix.vms["db"].ssh("wc -l < /tmp/heard").check().out)


def test_several_vms_are_forked_at_one_moment_and_live_on_alone(lab):
    # A connection between two VMs goes on in every fork: both ends are of one moment.
    lab.vms["db"].ssh("sleep 9999 | nc -l -p 7000 > /tmp/heard 2>&1 &").check()
    talk = "(while :; do date; sleep 0.2; done) | nc db 7000 > /dev/null 2>&1 &"
    lab.vms["web"].ssh(talk).check()
    boots = {vm: boot_id(lab, vm) for vm in ("web", "db")}
    command = [sys.executable, "-m", "lago_cli", "-w", str(lab.path.parent), "-P", lab.name]
    subprocess.run([*command, "fork", "own", "--count", "2"], check=True, timeout=300)
    one, two = (Prefix.open(lab.path.parent, name) for name in ("own-1", "own-2"))
    lab.stop()  # nobody needs it
    for fork in (one, two):
        assert {vm: boot_id(fork, vm) for vm in boots} == boots
        assert fork.vms["spare"].state is VMState.DOWN
        before = count_lines(fork)
        time.sleep(2)
        assert count_lines(fork) > before
        assert list_unneeded_layers(fork) == []
    note(one, "db", "second")
    three = one.fork("three")
    one.destroy()
    assert read(three, "db") == {"second"}
    assert read(two, "db") == read(three, "web") == {"first"}
    assert list_unneeded_layers(three) == []
    two.destroy()
    three.start(["spare"])
    assert three.vms["spare"].ssh(["ping", "-c1", "web"]).code == 0
    three.stop()
    three.start(["db"])
    assert three.vms["db"].ssh("cat /root/note").check().out == "second\n"
    three.destroy()
    assert list_forks(lab) == []
    lab.start(["web", "db"])
    assert lab.vms["db"].ssh("cat /root/note").check().out == "first\n"


FORK_POINTS = [
    "after service.store PrefixStore.create",
    f"after {STORE}.begin",
    f"after {HYPERVISOR}.suspend_domain",
    f"after {HYPERVISOR}.save_beside",
    f"after {IMAGES}.create_layer",
    f"before {STORE}.end",
    "before service.forks.create _link_state",
    "after service.forks.create copy_files",
    f"after {IMAGES}.create_neighbour",
    "after adapters.hosts.private PrivateHost.start",
    f"after {HYPERVISOR}.restore_outside",
    "before service.forks.create settle_guests",
    "before service.forks.create finish_forks",
    "after adapters.files remove_tree",
]
CLONE_POINTS = [
    f"after {IMAGES}.copy",
    "before service.forks.clone _grow",
    f"after {HYPERVISOR}.load_inside",
    "before service.forks.clone finish_forks",
]


@pytest.mark.parametrize("point", FORK_POINTS)
def test_a_fork_that_was_cut_off_leaves_the_lab_as_it_was(point, lab):
    check_killed(lab, point, ["a", "b"])


@pytest.mark.parametrize("point", CLONE_POINTS)
def test_a_fork_of_a_snapshot_that_was_cut_off_leaves_the_snapshot(point, lab):
    if "kept" not in lab.snapshots:
        lab.create_snapshots("kept")
    check_killed(lab, point, ["a"], "kept")
    assert list(lab.snapshots) == ["kept"]
    if point == CLONE_POINTS[-1]:
        lab.revert_snapshots("kept")
        lab.delete_snapshots("kept")


def check_killed(lab, point, names, *snapshot):
    boots = {vm: boot_id(lab, vm) for vm in ("web", "db")}
    die_at(point, lab, "fork_many", names, *snapshot)
    forks = list_forks(lab)
    assert {path.name for path in forks} <= set(names)
    for path in forks:
        with pytest.raises(WorkdirError, match=r"its fork was cut off.*|is unfinished"):
            Prefix.open_path(path).start()
    lab.start(["web", "db"])  # what stood still runs on
    assert {vm: boot_id(lab, vm) for vm in boots} == boots
    assert lab.vms["web"].state is lab.vms["db"].state is VMState.RUNNING
    assert not (lab.path / "snapshots" / "pending.json").exists()
    assert not list((lab.path / "images").glob("layers/*"))
    for path in forks:
        Prefix.open_path(path).destroy()
    assert list_forks(lab) == []
    places = [f"{lab.path.parent}/{name}/" for name in names]
    left = [words for _, words in list_processes() if any(place in words for place in places)]
    assert left == []


def test_an_unfinished_fork_that_runs_gives_way_to_another(lab):
    note(lab, "db", "again")
    die_at("before service.forks.create finish_forks", lab, "fork_many", ["a"])
    fork = lab.fork("a")
    assert read(fork, "db") == {"again"}
    assert list_unneeded_layers(fork) == []
    fork.destroy()


def test_without_room_there_is_no_fork_and_nothing_is_lost(tmp_path, config, tiny, monkeypatch):
    with small_disk(tmp_path / "small") as disk:
        spec = {"domains": {"db": small(RAW)}, "nets": NETS}
        with Prefix.create(spec, workdir=disk.path / "w", config=config) as lab:
            lab.start()
            note(lab, "db", "first")
            with pytest.raises(SnapshotError, match=r"the 2 forks may need \d+ MiB in .* are free"):
                lab.fork_many(["a", "b"])
            # What nobody could foresee: others took the space meanwhile.
            monkeypatch.setattr(space, "check_space", lambda needs, what: None)
            disk.leave_free(20)
            with pytest.raises(Exception, match=r"(?i)no space left|is full"):
                lab.fork_many(["a", "b"])
            assert list_forks(lab) == []
            disk.grow()
            lab.resume()
            assert read(lab, "db") == {"first"}
            fork = lab.fork("a")
            assert read(fork, "db") == {"first"}
            fork.destroy()
