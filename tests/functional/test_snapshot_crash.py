"""Killed at any step of a snapshot, a revert or a deletion; and disks that fill up meanwhile."""

import json
import subprocess

import pytest

from functional.killed import die_at
from functional.small_disk import small_disk
from lago_sdk import Config, Prefix, SnapshotError
from lago_sdk.service.snapshots import create

pytestmark = [pytest.mark.root_only, pytest.mark.private_only]

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
RAW = {"type": "empty", "size": "32M", "name": "raw", "dev": "vdb", "format": "raw"}
NETS = {"lan": {"dhcp": {"start": 100, "end": 254}}}

STORE = "service.snapshots.store SnapshotStore"
HYPERVISOR = "adapters.libvirt.hypervisor LibvirtHypervisor"


def small(*disks):
    nics = [{"net": "lan"}]
    return {"memory": 192, "vcpu": 1, "nics": nics, "disks": [ROOT, *disks]}


def list_leftovers(lab, name):
    """Files and tags of the snapshot *name*."""
    found = [str(path) for path in (lab.path / "snapshots").glob(f"{name}/*")]
    for image in (lab.path / "images").glob("*.qcow2"):
        command = ["qemu-img", "info", "-U", "--output=json", image]
        done = subprocess.run(command, capture_output=True, check=True)
        tags = [item["name"] for item in json.loads(done.stdout).get("snapshots", [])]
        found += [f"{image}: {tag}" for tag in tags if tag == f"lago-{name}"]
    pending = lab.path / "snapshots" / "pending.json"
    return found + ([str(pending)] if pending.exists() else [])


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    spec = {"domains": {"web": small(), "db": small(RAW)}, "nets": NETS}
    workdir = tmp_path_factory.mktemp("crash") / "w"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        for vm in prefix.vms.values():
            vm.ssh("echo first > /tmp/note").check()
            boot_id(vm)  # the kernel makes it when it is first asked
        prefix.create_snapshots("clean")
        yield prefix


def boot_id(vm):
    return vm.ssh("cat /proc/sys/kernel/random/boot_id").check().out


def read(lab):
    return {name: vm.ssh("cat /tmp/note").out.strip() for name, vm in lab.vms.items()}


@pytest.mark.parametrize(
    "point",
    [
        f"after {STORE}.begin",
        f"after {HYPERVISOR}.suspend_domain",
        f"after {HYPERVISOR}.save_inside",
        f"after {HYPERVISOR}.save_outside",
        f"before {HYPERVISOR}.restore_outside",
        f"before {STORE}.save",
    ],
)
def test_a_snapshot_that_was_cut_off_is_taken_back(point, lab):
    boots = {name: boot_id(vm) for name, vm in lab.vms.items()}
    die_at(point, lab, "create_snapshots", "half")
    assert list(lab.snapshots) == ["clean"]
    lab.start()
    assert list_leftovers(lab, "half") == []
    for name, vm in lab.vms.items():
        assert boot_id(vm) == boots[name]


def test_a_snapshot_that_was_whole_stays(lab):
    die_at(f"before {STORE}.end", lab, "create_snapshots", "whole")
    assert list(lab.snapshots) == ["clean", "whole"]
    lab.start()
    lab.revert_snapshots("whole")
    lab.delete_snapshots("whole")
    assert list_leftovers(lab, "whole") == []


@pytest.mark.parametrize(
    "point",
    [
        f"after {STORE}.begin",
        f"after {HYPERVISOR}.suspend_domain",
        f"after {HYPERVISOR}.load_inside",
        f"after {HYPERVISOR}.end_domain",
        "after service.snapshots.recall put_back",
        f"after {HYPERVISOR}.restore_outside",
        f"after {HYPERVISOR}.resume_domain",
        "before service.snapshots.revert mark_clean",
        f"before {STORE}.end",
    ],
)
def test_a_revert_that_was_cut_off_is_done_again(point, lab):
    for vm in lab.vms.values():
        vm.ssh("echo second > /tmp/note").check()
    die_at(point, lab, "revert_snapshots", "clean")
    lab.start()
    assert read(lab) == {"web": "first", "db": "first"}
    assert not (lab.path / "snapshots" / "pending.json").exists()


@pytest.mark.parametrize(
    "point",
    [
        f"after {STORE}.begin",
        f"after {STORE}.save",
        f"after {HYPERVISOR}.delete_inside",
        f"after {STORE}.remove_files",
        f"before {STORE}.end",
    ],
)
def test_a_deletion_that_was_cut_off_is_ended(point, lab):
    lab.create_snapshots("gone")
    die_at(point, lab, "delete_snapshots", "gone")
    lab.start()
    assert list(lab.snapshots) == ["clean"]
    assert list_leftovers(lab, "gone") == []


def test_a_disk_that_fills_up_loses_nothing(tmp_path, config, tiny, monkeypatch):
    with small_disk(tmp_path / "small") as disk:
        spec = {"domains": {"web": small(), "db": small(RAW)}, "nets": NETS}
        with Prefix.create(spec, workdir=disk.path / "w", config=config) as lab:
            lab.start()
            for vm in lab.vms.values():
                vm.ssh("echo first > /tmp/note").check()
            with pytest.raises(SnapshotError, match="MiB are free"):
                lab.create_snapshots("clean")
            assert read(lab) == {"web": "first", "db": "first"}
            # What nobody could foresee: others took the space meanwhile.
            monkeypatch.setattr(create, "check_space", lambda needs, what: None)
            for name in lab.vms:
                disk.leave_free(20)
                with pytest.raises(Exception, match=r"(?i)no space left|is full"):
                    lab.create_snapshots("clean", name)
                disk.grow()
                lab.resume()
                assert read(lab) == {"web": "first", "db": "first"}
                assert list_leftovers(lab, "clean") == []
