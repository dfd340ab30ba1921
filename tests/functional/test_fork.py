"""Forks of real VMs: independent, sharing layers, outliving each other and whoever dies."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lago_sdk import (
    Config,
    HostError,
    Prefix,
    PrefixExistsError,
    VMState,
    WorkdirError,
)

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
RAW = {"type": "empty", "size": "8M", "name": "raw", "dev": "vdb", "format": "raw"}
VM = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT, RAW]}
SPEC = {"domains": {"web": VM}, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    workdir = tmp_path_factory.mktemp("forks") / "w"
    with Prefix.create(SPEC, workdir=workdir, config=Config.load({"host": host})) as prefix:
        if host == "private":
            prefix.start()
            note(prefix, "first")
        yield prefix


@pytest.fixture(autouse=True)
def no_forks(lab):
    yield
    for path in sorted(lab.path.parent.iterdir()):
        if (path / "uuid").exists() and path.name != lab.name and not path.is_symlink():
            Prefix.open_path(path).destroy()


def note(prefix, word):
    """Write *word* to both disks and into the memory of the guest."""
    write = f"echo {word} > /root/note; sync; echo {word} > /tmp/note"
    raw = f"echo {word} | dd of=/dev/vdb conv=fsync 2>/dev/null"
    prefix.vms["web"].ssh(f"{write}; {raw}").check()


def read(prefix):
    command = "cat /root/note /tmp/note; head -c 16 /dev/vdb | tr -d '\\0' | head -n 1"
    return prefix.vms["web"].ssh(command).check().out.split()


@pytest.mark.private_only
def test_forks_are_independent_and_go_in_any_order(lab):
    before = lab.vms["web"].ssh(
        "cat /proc/sys/kernel/random/boot_id; cat /proc/sys/kernel/hostname"
    )
    note(lab, "first")
    lab.vms["web"].ssh("date -s @1000000000").check()
    one, two = lab.fork_many(["one", "two"])
    assert read(one) == read(two) == ["first"] * 3
    same = one.vms["web"].ssh("cat /proc/sys/kernel/random/boot_id; cat /proc/sys/kernel/hostname")
    assert same.check().out == before.check().out
    assert one.vms["web"].ip == lab.vms["web"].ip
    assert one.uuid != two.uuid != lab.uuid
    # A guest that booted on a loaded machine has a clock that runs wrong: only set it is.
    assert abs(float(two.vms["web"].ssh("date +%s").check().out) - time.time()) < 600
    note(one, "second")
    assert read(two) == read(lab) == ["first"] * 3
    # What the two share is there once.
    layers = sorted((one.path / "images/layers").iterdir())
    assert layers
    assert all(layer.stat().st_nlink == 2 for layer in layers)
    # A fork of a fork needs neither of those it comes from.
    three = one.fork("three")
    one.destroy()
    assert read(three) == ["second"] * 3
    three.stop()
    three.start()
    disks = "cat /root/note; head -c 16 /dev/vdb | tr -d '\\0' | head -n 1"
    assert three.vms["web"].ssh(disks).check().out.split() == ["second"] * 2
    two.destroy()
    assert read(lab) == ["first"] * 3


@pytest.mark.private_only
@pytest.mark.root_only
def test_a_fork_that_is_killed_leaves_the_lab_running_and_can_be_made_again(lab):
    code = (
        "import os, signal, sys\n"
        "from lago_sdk import Prefix\n"
        "from lago_sdk.service.forks import state\n"
        "state.Freezer.freeze = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Prefix.open_path(sys.argv[1]).fork('killed')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lab.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert lab.vms["web"].state is VMState.PAUSED
    with pytest.raises(WorkdirError, match="its fork was cut off"):
        Prefix.open_path(lab.path.parent / "killed").start()
    fork = lab.fork("killed")  # lets the lab run on first
    assert lab.vms["web"].state is VMState.RUNNING
    assert read(fork) == read(lab)
    fork.create_snapshots("here")
    fork.vms["web"].ssh("rm /tmp/note").check()
    fork.revert_snapshots("here")
    assert read(fork) == read(lab)
    with pytest.raises(PrefixExistsError):
        lab.fork("killed")


@pytest.mark.private_only
@pytest.mark.root_only
def test_forks_of_a_snapshot_go_on_from_it(lab):
    note(lab, "kept")
    lab.create_snapshots("kept")
    note(lab, "later")
    one, two = lab.fork_many(["one", "two"], "kept")
    assert read(one) == read(two) == ["kept"] * 3
    assert read(lab) == ["later"] * 3
    lab.delete_snapshots("kept")
    note(one, "other")
    one.revert_snapshots("kept")
    assert read(one) == ["kept"] * 3


@pytest.mark.private_only
@pytest.mark.root_only
def test_the_command_line_forks(lab):
    environment = {**os.environ, "COLUMNS": "200"}
    words = [
        sys.executable,
        "-m",
        "lago_cli",
        "-w",
        str(lab.path.parent),
        "-P",
        lab.name,
        "fork",
        "cli",
        "--count",
        "1",
    ]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "as cli-1 in" in done.stderr
    assert read(Prefix.open(lab.path.parent, "cli-1")) == read(lab)


@pytest.mark.system_only
def test_labs_on_the_system_host_are_not_forked(lab):
    with pytest.raises(HostError, match="only prefixes on private hosts can be forked"):
        lab.fork("one")
    assert not (lab.path.parent / "one").exists()
