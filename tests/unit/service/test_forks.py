"""Forks on fakes: what they share, what is theirs, and what is left when one fails."""

import shutil
from uuid import uuid4

import pytest
from fake_labs import domain, lab_spec, make_lab, running, vm

from lago_sdk.errors import HostError, HypervisorError, SnapshotError, SnapshotNotFoundError
from lago_sdk.ports import HostKind
from lago_sdk.prefix import Prefix
from lago_sdk.render.fork import fork_machine, parse_targets, render_memory_snapshot
from lago_sdk.service.forks.clone import check_clonable, clone_prefix
from lago_sdk.service.forks.create import check_forkable, fork_prefix
from lago_sdk.service.forks.space import check_fork_space
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.marks import has_pending
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.state import VMState
from lago_sdk.testing import FakeHost, make_world

RAW = {"type": "empty", "size": "1M", "name": "raw", "dev": "vdb", "format": "raw"}
ROOT = {"type": "template", "name": "root", "dev": "vda", "template_name": "tiny"}
SPEC = lab_spec(web=vm(), db=vm(disks=[ROOT, RAW]))


@pytest.fixture
def lab(tmp_path):
    prefix, _ = make_lab(tmp_path, SPEC)
    prefix.start()
    return prefix


def sprout(lab, name):
    """A fork in a world of its own that has a uuid and nothing else."""
    world = make_world()
    for guest in lab.vms:
        world.guests[guest].answer_with("true", lambda call: None)
    layout = PrefixLayout(lab.path.parent / name)
    layout.path.mkdir()
    fork = Prefix(layout, world, uuid=uuid4().hex)
    fork._store.create(lab.record, lab.spec, fork.uuid)
    return fork


def fork_lab(lab, *names):
    forks = [sprout(lab, name) for name in names]
    fork_prefix(lab.context, [fork.as_seedling() for fork in forks])
    return forks


def test_forks_run_what_ran_and_share_one_copy_of_each_disk(lab):
    lab.stop("web")
    one, two = fork_lab(lab, "one", "two")
    assert running(one) == running(two) == running(lab) == {"db"}
    assert one.is_complete
    assert not has_pending(lab._layout)
    layers = sorted(one._layout.layers.iterdir())
    assert len(layers) == 3
    assert all(layer.stat().st_nlink == 2 for layer in layers)
    assert not one._layout.fork_state.exists()


def test_the_plan_is_the_same_but_for_disks_and_uuid(lab):
    (fork,) = fork_lab(lab, "one")
    assert fork.plan.uuid == fork.uuid != lab.uuid
    assert fork.plan.nets == lab.plan.nets
    assert [found.nics for found in fork.plan.vms] == [found.nics for found in lab.plan.vms]
    disks = fork.plan.get_vm("db").disks
    assert all(disk.format is DiskFormat.QCOW2 and disk.owned for disk in disks)
    assert all((fork.path / disk.path).is_file() for disk in disks)
    assert fork._layout.known_hosts.exists() == lab._layout.known_hosts.exists()
    assert fork._layout.private_key.read_bytes() == lab._layout.private_key.read_bytes()


def test_a_fork_of_a_fork_needs_nothing_of_it(lab):
    (one,) = fork_lab(lab, "one")
    (two,) = fork_lab(one, "two")
    images = two.context.world.images
    for disk in (disk for found in two.plan.vms for disk in found.disks):
        chain = [str(two.path / disk.path)]
        while (below := images.inspect(type(two.path)(chain[-1])).backing) is not None:
            chain.append(below)
        assert len(chain) >= 3
        assert not any(path.startswith((f"{one.path}/", f"{lab.path}/")) for path in chain)


def test_a_memory_that_cannot_be_written_leaves_the_lab_running(lab):
    lab.context.world.hypervisor.fail(domain(lab, "db"), HypervisorError("no space"), on="save")
    with pytest.raises(HypervisorError, match="no space"):
        fork_lab(lab, "one")
    assert running(lab) == {"web", "db"}
    assert not has_pending(lab._layout)


def test_without_room_nothing_is_begun(lab, monkeypatch):
    (lab.path / "images" / "db_raw.raw").write_bytes(b"x" * (8 << 20))
    free = shutil.disk_usage(lab.path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    before = sorted(lab.path.parent.iterdir())
    with pytest.raises(SnapshotError, match=r"the fork may need \d+ MiB in .*100 MiB are free"):
        lab.fork("one")
    lab.stop()
    check_fork_space(lab.context, 1, None)  # memories are what is large here
    with pytest.raises(SnapshotError, match="the 30 forks may need"):
        check_fork_space(lab.context, 30, None)
    assert sorted(lab.path.parent.iterdir()) == before


def test_each_fork_of_a_snapshot_needs_copies_of_disks(lab, monkeypatch):
    (lab.path / "images" / "db_raw.raw").write_bytes(b"x" * (8 << 20))
    lab.create_snapshots("clean")
    free = shutil.disk_usage(lab.path)._replace(free=20 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    check_fork_space(lab.context, 1, "clean")
    with pytest.raises(SnapshotError, match="the 2 forks may need 25 MiB"):
        check_fork_space(lab.context, 2, "clean")


def test_a_vm_that_was_paused_stays_so(lab):
    lab.suspend("web")
    (fork,) = fork_lab(lab, "one")
    assert fork.get_state("web") is VMState.PAUSED
    assert lab.get_state("web") is VMState.PAUSED


def test_forks_of_a_snapshot_have_it_and_are_at_it(lab):
    lab.create_snapshots("clean")
    lab.create_snapshots("other")
    check_clonable(lab.context, "clean")
    (fork,) = forks = [sprout(lab, "one")]
    clone_prefix(lab.context, [fork.as_seedling() for fork in forks], "clean")
    assert running(fork) == running(lab) == {"web", "db"}
    assert set(fork.snapshots) == {"clean"}
    images = fork.context.world.images
    assert set(images.list_snapshots(fork.path / "images/web_root.qcow2")) == {"lago-clean"}
    assert fork.uuid in fork.context.hypervisor.get_machine(domain(fork, "web"))
    assert not has_pending(lab._layout)
    assert not has_pending(fork._layout)


def test_only_snapshots_of_all_vms_are_forked(lab):
    lab.create_snapshots("some", ["web"])
    with pytest.raises(SnapshotError, match="differs by db"):
        check_clonable(lab.context, "some")
    with pytest.raises(SnapshotNotFoundError):
        check_clonable(lab.context, "none")


def test_only_private_hosts(tmp_path):
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
    prefix, _ = make_lab(tmp_path, SPEC, world=world)
    with pytest.raises(HostError, match="only prefixes on private hosts"):
        check_forkable(prefix.context)
    with pytest.raises(HostError, match="only prefixes on private hosts"):
        prefix.fork("one")


MACHINE = """
<domain xmlns:lago="https://lago.example/xmlns/1"><name>d</name><devices>
<disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="/p/images/a.raw"/>
<target dev="vda"/></disk>
<disk type="file" device="cdrom"><driver type="raw"/><source file="/p/images/seed.iso"/>
<target dev="sda"/></disk>
<console><log file="/p/logs/c.log"/></console><emulator>/usr/bin/qemu</emulator></devices></domain>
"""


def test_a_machine_is_moved_with_its_disks(lab):
    xml = lab.context.hypervisor.get_machine(domain(lab, "web"))
    old = f"{lab.path}/images/web_root.qcow2"
    moved = fork_machine(xml, prefix_uuid="f" * 32, root="/else", disks={old: "/x/new.qcow2"})
    assert 'file="/x/new.qcow2"' in moved
    assert "f" * 32 in moved
    assert lab.uuid not in moved
    assert str(lab.path) not in moved


def test_only_disks_that_are_named_change_their_format():
    moved = fork_machine(
        MACHINE, prefix_uuid="f" * 32, root="/q", disks={"/p/images/a.raw": "/q/images/a.qcow2"}
    )
    assert '<driver name="qemu" type="qcow2" />' in moved
    assert '<driver type="raw" />' in moved


def test_a_snapshot_of_a_memory_leaves_all_disks_out():
    assert parse_targets(MACHINE) == ("vda", "sda")
    text = render_memory_snapshot("/m", ["vda"])
    assert '<memory snapshot="external" file="/m" />' in text
    assert '<disk name="vda" snapshot="no" />' in text
