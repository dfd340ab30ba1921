"""Snapshots of real VMs: reverts of running, stopped, changed and restarted labs."""

import subprocess
import sys
import time

import pytest

from lago_sdk import (
    Config,
    Mechanism,
    Prefix,
    SnapshotError,
    SnapshotExistsError,
    SnapshotKind,
    SnapshotNotFoundError,
    VMState,
)

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
RAW = {"type": "empty", "size": "32M", "name": "raw", "dev": "vdb", "format": "raw"}
REST_SECONDS = 40
"""Neighbours, routers and groups have spoken by then, and whoever keeps connections alive."""
NETS = {"lan": {"dhcp": {"start": 100, "end": 254}}}


def small(*disks):
    nics = [{"net": "lan"}]
    return {"memory": 192, "vcpu": 1, "nics": nics, "disks": list(disks) or [ROOT]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    """``web`` has qcow2 disks only, ``db`` a raw one, whose memory QEMU cannot keep inside."""
    spec = {"domains": {"web": small(), "db": small(ROOT, RAW)}, "nets": NETS}
    workdir = tmp_path_factory.mktemp("snapshots") / "w"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        prefix.start()
        note(prefix, "first")
        for vm in prefix.vms.values():
            boot_id(vm)  # the kernel makes it when it is first asked
        prefix.create_snapshots("clean")
        yield prefix


@pytest.fixture(autouse=True)
def clean(request, lab):
    """Every test finds the lab as it was first, whatever the one before did to it."""
    yield
    for name in lab.snapshots:
        if name != "clean":
            lab.delete_snapshots(name)
    lab.revert_snapshots("clean", if_dirty=True)


def note(prefix, word, *vms):
    """Write *word* to the disk and into the memory of guests."""
    for name in vms or prefix.vms:
        vm = prefix.vms[name]
        vm.ssh(f"echo {word} > /root/note; sync; echo {word} > /tmp/note").check()
        if name == "db":
            vm.ssh(f"echo {word} | dd of=/dev/vdb conv=fsync 2>/dev/null").check()


def read(prefix, name, *places):
    vm = prefix.vms[name]
    places = places or ("/root/note", "/tmp/note")
    return [vm.ssh(f"cat {place} 2>/dev/null | head -c 64").out.strip("\n\0") for place in places]


def boot_id(vm):
    return vm.ssh("cat /proc/sys/kernel/random/boot_id").check().out


def test_a_running_lab_goes_back_with_memory_disks_and_clocks(lab):
    kept = lab.snapshots["clean"].vms
    assert kept["web"].mechanism is Mechanism.INSIDE
    assert kept["db"].mechanism is Mechanism.OUTSIDE
    assert all(vm.memory_bytes > 10 << 20 and 0 < vm.pause < 20 for vm in kept.values())
    boots = {name: boot_id(vm) for name, vm in lab.vms.items()}
    note(lab, "second")
    lab.vms["web"].ssh("date -s @1000000000").check()
    report = lab.revert_snapshots("clean")
    assert (set(report.reverted), report.in_place) == ({"web", "db"}, ("web",))
    for name, vm in lab.vms.items():
        assert read(lab, name) == ["first", "first"]
        assert boot_id(vm) == boots[name]
        assert abs(float(vm.ssh("date +%s").out) - time.time()) < 3
    assert read(lab, "db", "/dev/vdb") == ["first"]
    assert lab.vms["web"].ssh(["ping", "-c1", "db"]).code == 0


@pytest.mark.root_only
@pytest.mark.private_only
def test_status_and_names(lab):
    assert {vm.snapshots for vm in lab.status().vms} == {("clean",)}
    with pytest.raises(SnapshotExistsError, match="--delete clean"):
        lab.create_snapshots("clean")
    with pytest.raises(SnapshotError, match="cannot be the name"):
        lab.create_snapshots("no good")
    with pytest.raises(SnapshotNotFoundError, match="did you mean 'clean'"):
        lab.revert_snapshots("claen")


@pytest.mark.root_only
@pytest.mark.private_only
def test_snapshots_are_a_tree_and_deleted_in_any_order(lab):
    note(lab, "a", "web")
    lab.create_snapshots("a", ["web"])
    note(lab, "b", "web")
    lab.vms["web"].create_snapshot("b")
    lab.revert_snapshots("a")
    note(lab, "c", "web")
    lab.create_snapshots("c", ["web"])
    parents = {name: snapshot.parents for name, snapshot in lab.snapshots.items()}
    assert parents == {"clean": (), "a": ("clean",), "b": ("a",), "c": ("a",)}
    lab.delete_snapshots("a")
    assert lab.snapshots["c"].parents == ("clean",)
    for name in ("b", "c", "clean"):
        lab.vms["web"].revert_snapshot(name)
        assert read(lab, "web") == [{"clean": "first"}.get(name, name)] * 2
    with pytest.raises(SnapshotNotFoundError, match="does not have db"):
        lab.revert_snapshots("b", ["db"])


@pytest.mark.root_only
@pytest.mark.private_only
def test_one_vm_goes_back_and_the_other_runs_on(lab):
    note(lab, "second")
    lab.vms["web"].revert_snapshot("clean")
    assert read(lab, "web") == ["first", "first"]
    assert read(lab, "db") == ["second", "second"]


def test_a_stopped_lab_starts_from_its_snapshot(lab):
    boots = {name: boot_id(vm) for name, vm in lab.vms.items()}
    note(lab, "second")
    lab.stop()
    report = lab.revert_snapshots("clean")
    assert report.in_place == ()
    assert {name: boot_id(vm) for name, vm in lab.vms.items()} == boots
    assert [read(lab, name) for name in lab.vms] == [["first", "first"]] * 2
    # The QEMU of a restarted lab is another one, and has the devices of the first.
    assert lab.revert_snapshots("clean").in_place == ("web",)


@pytest.mark.root_only
@pytest.mark.private_only
def test_disks_only_of_a_running_vm(lab):
    db = lab.vms["db"]
    note(lab, "kept", "db")
    before = boot_id(db)
    report = db.create_snapshot("disks", memory=False)
    assert {vm.kind for vm in report.vms.values()} == {SnapshotKind.DISK}
    note(lab, "lost", "db")
    db.revert_snapshot("disks")
    assert read(lab, "db", "/root/note", "/tmp/note", "/dev/vdb") == ["kept", "", "kept"]
    assert boot_id(db) != before


@pytest.mark.root_only
def test_a_stopped_vm_is_kept_as_it_is_on_disk(lab):
    note(lab, "kept", "web")
    lab.stop(["web"])
    lab.create_snapshots("off", ["web"])
    assert not lab.is_dirty("off")
    lab.revert_snapshots("clean", "web")
    assert lab.is_dirty("off")
    lab.revert_snapshots("off")
    assert not lab.vms["web"].state.is_active
    assert lab.vms["db"].state is VMState.RUNNING
    lab.start(["web"])
    assert read(lab, "web") == ["kept", ""]


@pytest.mark.root_only
def test_a_disk_that_was_attached_later_is_gone_again(lab, tmp_path):
    web = lab.vms["web"]
    image = tmp_path / "later.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "16M"], check=True)
    xml = f"""<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
        <source file='{image}'/><target dev='vdz' bus='virtio'/></disk>"""
    domain = lab.context.hypervisor._connection.get().lookupByName(web.plan.domain)
    domain.attachDevice(xml)
    lab.create_snapshots("more", "web")
    report = lab.revert_snapshots("clean", "web")
    assert report.in_place == ()
    assert read(lab, "web") == ["first", "first"]
    assert str(image) not in lab.context.hypervisor.get_machine(web.plan.domain)
    lab.revert_snapshots("more", "web")
    assert str(image) in lab.context.hypervisor.get_machine(web.plan.domain)
    lab.delete_snapshots("more")
    assert "lago-more" not in info(image)


def info(image):
    done = subprocess.run(
        ["qemu-img", "info", "-U", image], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.root_only
@pytest.mark.private_only
def test_what_somebody_removed_is_told(lab):
    web = lab.vms["web"]
    lab.create_snapshots("gone", "web")
    lab.context.hypervisor.delete_inside(web.plan.domain, "lago-gone")
    with pytest.raises(SnapshotError, match="snapshot --delete gone"):
        lab.revert_snapshots("gone")
    assert web.ssh("true").code == 0


def test_use_makes_dirty_and_rest_does_not(lab, host):
    lab.revert_snapshots("clean")
    assert lab.list_changes("clean") == {}
    report = lab.revert_snapshots("clean", if_dirty=True)
    assert not report.changed
    lab.vms["web"].ssh("true")
    assert lab.list_changes("clean").keys() == {"web"}
    lab.revert_snapshots("clean", if_dirty=True)
    code = f"""
from lago_sdk import Prefix
prefix = Prefix.open({str(lab.path.parent)!r})
# On the system host another process has not listened to what came since.
assert {host!r} == "system" or prefix.list_changes(vms="db") == {{}}
prefix.vms["db"].ssh("true")
assert prefix.is_dirty(vms="db")
prefix.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert "db" in lab.list_changes("clean")


@pytest.mark.root_only
def test_a_lab_at_rest_stays_clean_until_a_guest_hears_from_another(lab, host):
    if host == "private":  # whose process ends then, with its connections
        command = [sys.executable, "-m", "lago_cli", "-w", lab.path.parent, "revert", "clean"]
        subprocess.run(command, check=True, timeout=120)
    else:
        lab.revert_snapshots("clean")
    time.sleep(REST_SECONDS)
    assert lab.list_changes("clean") == {}
    assert "refused" in lab.vms["web"].ssh("nc -w 3 db 9").err  # a SYN, and nobody there
    assert lab.list_changes("clean").keys() == {"web", "db"}
    assert lab.list_changes("clean")["db"] == "it heard from the network"


@pytest.mark.root_only
def test_what_a_guest_does_by_itself_makes_dirty(lab):
    lab.revert_snapshots("clean")
    domain = lab.vms["web"].plan.domain
    lab.context.hypervisor.suspend_domain(domain)
    assert lab.list_changes("clean") == {"web": "it was started, stopped or paused"}
    lab.context.hypervisor.resume_domain(domain)


@pytest.mark.root_only
def test_a_paused_vm_stays_paused(lab):
    domain = lab.vms["web"].plan.domain
    lab.context.hypervisor.suspend_domain(domain)
    lab.create_snapshots("still", "web")
    assert lab.vms["web"].state is VMState.PAUSED
    lab.revert_snapshots("clean", "web")
    lab.revert_snapshots("still")
    assert lab.vms["web"].state is VMState.PAUSED
