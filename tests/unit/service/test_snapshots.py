"""Snapshots on fakes: what is kept, reverted, deleted, and what is left by somebody who died."""

import json

import pytest
from fake_labs import domain, lab_spec, make_lab, running, vm

from lago_sdk.errors import (
    HostError,
    HypervisorError,
    SnapshotError,
    SnapshotExistsError,
    SnapshotNotFoundError,
    VMNotFoundError,
)
from lago_sdk.ports import HostKind
from lago_sdk.service.snapshots.model import Mechanism, SnapshotKind, check_name
from lago_sdk.service.snapshots.store import Pending, SnapshotStore
from lago_sdk.state import VMState
from lago_sdk.testing import FakeHost, make_world

RAW = {"type": "empty", "size": "1M", "name": "raw", "dev": "vdb", "format": "raw"}
ROOT = {"type": "template", "name": "root", "dev": "vda", "template_name": "tiny"}


@pytest.fixture
def lab(tmp_path):
    """``web`` is kept inside, ``db`` outside."""
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(), db=vm(disks=[ROOT, RAW])))
    prefix.start()
    for name in prefix.vms:
        prefix.context.world.guests[name].answer_with("true", lambda call: None)
    return prefix


@pytest.fixture
def hypervisor(lab):
    return lab.context.world.hypervisor


def tags(lab, name, disk="root"):
    images = lab.context.world.images
    return set(images.list_snapshots(lab.path / "images" / f"{name}_{disk}.qcow2"))


@pytest.mark.parametrize("name", ["clean", "a.b-c_9", "0", "x" * 64])
def test_names(name):
    check_name(name)


@pytest.mark.parametrize("name", ["", "a b", ".hidden", "a/b", "-l", "x" * 65, "ä", "a\n"])
def test_no_names(name):
    with pytest.raises(SnapshotError, match="cannot be the name"):
        check_name(name)


class TestCreate:
    def test_each_vm_is_kept_by_what_fits_it(self, lab):
        report = lab.create_snapshots("clean")
        found = {name: item.mechanism for name, item in report.vms.items()}
        assert found == {"web": Mechanism.INSIDE, "db": Mechanism.OUTSIDE}
        assert tags(lab, "web") == tags(lab, "db") == {"lago-clean"}
        assert (lab.path / "snapshots" / "clean" / "db.memory").exists()
        assert report.vms["db"].copies_bytes > 0
        assert running(lab) == {"web", "db"}
        assert lab.snapshots["clean"].vms == report.vms
        assert {item.snapshots for item in lab.status().vms} == {("clean",)}

    def test_all_stand_still_before_the_first_is_saved(self, lab, hypervisor):
        hypervisor.calls.clear()
        lab.create_snapshots("clean")
        order = [call for call, _ in hypervisor.calls]
        saves = [order.index("save_inside"), order.index("save_outside")]
        last_pause = max(i for i, call in enumerate(order) if call == "suspend_domain")
        assert last_pause < min(saves) < max(saves) < order.index("resume_domain")

    def test_vms_that_are_off_are_kept_on_disk(self, lab):
        lab.stop(["web"])
        report = lab.create_snapshots("clean")
        web = report.vms["web"]
        assert (web.kind, web.mechanism) == (SnapshotKind.DISK, Mechanism.DISKS)
        assert not web.was_running
        assert report.vms["db"].kind is SnapshotKind.MEMORY

    def test_names_are_taken_by_vm(self, lab):
        lab.vms["web"].create_snapshot("one")
        lab.vms["db"].create_snapshot("one")
        assert set(lab.snapshots["one"].vms) == {"web", "db"}
        with pytest.raises(SnapshotExistsError, match="of web already"):
            lab.create_snapshots("one", "web")
        with pytest.raises(VMNotFoundError):
            lab.create_snapshots("two", "wbe")

    def test_nothing_is_left_of_one_that_failed(self, lab, hypervisor):
        full = HypervisorError("cannot save: No space left on device")
        hypervisor.fail(domain(lab, "web"), full, on="save")
        with pytest.raises(HypervisorError, match="No space"):
            lab.create_snapshots("clean")
        assert dict(lab.snapshots) == {}
        assert tags(lab, "web") | tags(lab, "db") == set()
        assert running(lab) == {"web", "db"}
        assert sorted(path.name for path in (lab.path / "snapshots").iterdir()) == []
        hypervisor.fail(domain(lab, "web"), None, on="save")
        assert lab.create_snapshots("clean").vms["db"].parent is None

    def test_what_cannot_be_kept_is_told(self, tmp_path):
        shares = [{"source": str(tmp_path), "tag": "here"}]
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm(shares=shares)))
        prefix.start()
        with pytest.raises(SnapshotError, match="shares the host's directory 'here'"):
            prefix.create_snapshots("clean")
        prefix.create_snapshots("disks", memory=False)

    def test_other_machines_are_refused(self, tmp_path):
        world = make_world(host=FakeHost(kind=HostKind.REMOTE))
        prefix, _ = make_lab(tmp_path, world=world)
        with pytest.raises(SnapshotError, match="on other machines"):
            prefix.create_snapshots("clean")


class TestRevert:
    def test_what_runs_is_loaded_in_place(self, lab, hypervisor):
        lab.create_snapshots("clean")
        hypervisor.calls.clear()
        report = lab.revert_snapshots("clean")
        assert (set(report.reverted), report.in_place) == ({"web", "db"}, ("web",))
        done = {call for call, name in hypervisor.calls if name == domain(lab, "web")}
        assert "create_paused" not in done
        assert running(lab) == {"web", "db"}

    def test_what_is_off_begins_from_the_snapshot(self, lab, hypervisor):
        lab.create_snapshots("clean")
        lab.stop()
        hypervisor.calls.clear()
        assert lab.revert_snapshots("clean").in_place == ()
        assert hypervisor.count("create_domain") == 0
        assert running(lab) == {"web", "db"}

    def test_another_machine_is_begun_anew(self, lab, hypervisor):
        lab.create_snapshots("clean")
        name = domain(lab, "web")
        record = hypervisor._domains[name]
        record.xml = record.xml.replace("<devices>", "<devices><watchdog model='itco'/>")
        assert lab.revert_snapshots("clean", "web").in_place == ()
        assert "watchdog" not in hypervisor.get_domain_xml(name)

    def test_a_state_that_does_not_load_is_begun_anew(self, lab, hypervisor):
        lab.create_snapshots("clean", "web")
        load, tried = hypervisor.load_inside, []

        def fail_once(name, tag):
            tried.append(name)
            if len(tried) == 1:
                raise HypervisorError("cannot load: Unknown ramblock")
            load(name, tag)

        hypervisor.load_inside = fail_once
        assert lab.revert_snapshots("clean").in_place == ()
        assert running(lab) == {"web", "db"}

    def test_what_somebody_removed_is_told_before_anything_is_done(self, lab, hypervisor):
        lab.create_snapshots("clean")
        (lab.path / "snapshots" / "clean" / "db.memory").unlink()
        hypervisor.calls.clear()
        with pytest.raises(SnapshotError, match=r"db\.memory does not hold it any more"):
            lab.revert_snapshots("clean")
        assert hypervisor.count("suspend_domain") == hypervisor.count("end_domain") == 0

    def test_vms_kept_off_are_off_again(self, lab):
        lab.stop()
        lab.create_snapshots("off")
        lab.start()
        lab.revert_snapshots("off")
        assert running(lab) == set()

    def test_disks_only_boots(self, lab, hypervisor):
        lab.create_snapshots("disks", memory=False)
        before = hypervisor.count("create_domain")
        lab.revert_snapshots("disks")
        assert hypervisor.count("create_domain") == before + 2
        assert running(lab) == {"web", "db"}

    def test_unknown_names_are_explained(self, lab):
        lab.create_snapshots("clean", "web")
        with pytest.raises(SnapshotNotFoundError, match="did you mean 'clean'"):
            lab.revert_snapshots("claen")
        with pytest.raises(SnapshotNotFoundError, match="does not have db"):
            lab.revert_snapshots("clean", ["db"])


class TestDelete:
    def test_any_order_and_children_are_adopted(self, lab):
        for name in ("a", "b", "c"):
            lab.create_snapshots(name)
        assert lab.delete_snapshots("b") == ("web", "db")
        assert lab.snapshots["c"].parents == ("a",)
        lab.delete_snapshots("c", "web")
        assert set(lab.snapshots["c"].vms) == {"db"}
        assert tags(lab, "web") == {"lago-a"}
        lab.stop()
        lab.delete_snapshots("a")
        lab.delete_snapshots("c")
        assert tags(lab, "web") | tags(lab, "db") == set()
        assert not list((lab.path / "snapshots").glob("*/*.memory"))

    def test_the_head_goes_back_to_the_parent(self, lab):
        lab.create_snapshots("a")
        lab.create_snapshots("b")
        lab.delete_snapshots("b")
        assert lab.create_snapshots("c").vms["web"].parent == "a"


class TestRepair:
    def test_a_snapshot_that_was_cut_off_is_taken_back(self, lab, hypervisor):
        report = lab.create_snapshots("half")
        store = SnapshotStore(lab.context.layout, lab.context.world.files)
        store.begin(Pending(action="create", name="half", vms=report.vms))
        (lab.path / "snapshots" / "half" / "snapshot.json").unlink()
        for name in lab.vms:
            hypervisor.suspend_domain(domain(lab, name))
        hypervisor.set_domain_state(domain(lab, "db"), VMState.SHUT_OFF)
        lab.start()
        assert running(lab) == {"web", "db"}
        assert tags(lab, "web") | tags(lab, "db") == set()
        assert not (lab.path / "snapshots" / "half").exists()

    def test_a_revert_is_done_again_and_not_where_another_follows(self, lab, hypervisor):
        report = lab.create_snapshots("clean")
        store = SnapshotStore(lab.context.layout, lab.context.world.files)
        store.begin(Pending(action="revert", name="clean", vms=report.vms))
        lab.start()
        assert hypervisor.count("load_inside") == 1
        store.begin(Pending(action="revert", name="clean", vms=report.vms))
        lab.revert_snapshots("clean")
        assert hypervisor.count("load_inside") == 2

    def test_what_cannot_be_mended_does_not_bar_the_way(self, lab):
        lab.create_snapshots("clean")
        (lab.path / "snapshots" / "pending.json").write_text("{")
        lab.stop()
        assert any("could not be ended" in text for text in lab.context.world.log.warnings)
        with pytest.raises(SnapshotError):
            lab.create_snapshots("other")
        lab.destroy()


class TestDirty:
    def test_clean_until_used(self, lab):
        lab.create_snapshots("clean")
        assert not lab.is_dirty()
        assert not lab.revert_snapshots("clean", if_dirty=True).changed
        lab.context.guests.get(lab.plan.get_vm("web"))
        assert lab.list_changes() == {"web": "it was used, or its prefix was changed"}
        assert lab.revert_snapshots("clean", if_dirty=True).changed
        assert not lab.is_dirty()

    def test_what_counters_tell(self, lab, hypervisor):
        lab.create_snapshots("clean")
        hypervisor.write_blocks(domain(lab, "web"))
        assert lab.list_changes() == {"web": "it wrote to its disks"}
        (lab.path / lab.plan.get_vm("db").console_log).write_text("oops\n")
        assert lab.list_changes()["db"] == "it wrote to its console"
        hypervisor.set_domain_state(domain(lab, "db"), VMState.PAUSED)
        assert lab.list_changes()["db"] == "it was started, stopped or paused"

    def test_what_the_host_hears(self, lab):
        host = lab.context.world.host
        lab.create_snapshots("clean")
        web = lab.plan.get_vm("web")
        (mac,) = {nic.mac for nic in web.nics}
        assert host.listening["web"] == ({mac}, {lab.plan.nets[0].bridge_mac})
        host.hear("web")
        assert lab.list_changes() == {"web": "it heard from the network"}
        lab.revert_snapshots("clean")
        assert not lab.is_dirty()

    def test_without_a_listener_the_counters_tell(self, lab, hypervisor):
        host = lab.context.world.host
        host.fail("listen", HostError("it is one of an older version"))
        lab.create_snapshots("clean")
        assert host.heard() == {}
        hypervisor.receive(domain(lab, "web"), size=42)
        assert not lab.is_dirty()
        hypervisor.receive(domain(lab, "web"), size=60)
        assert lab.list_changes() == {"web": "it heard from the network"}

    def test_another_snapshot_is_another(self, lab):
        lab.create_snapshots("a")
        lab.create_snapshots("b")
        assert lab.list_changes("a") == dict.fromkeys(["web", "db"], "it is at the snapshot 'b'")

    def test_damaged_marks_and_changes_of_the_prefix_are_dirty(self, lab):
        lab.create_snapshots("clean")
        mark = lab.path / "snapshots" / ".clean" / "web.json"
        mark.write_text(json.dumps({"snapshot": "clean", "facts": None}))
        assert lab.list_changes() == {"web": "what was noted of it is damaged"}
        lab.start()
        assert set(lab.list_changes()) == {"web", "db"}

    def test_since_nothing(self, lab):
        with pytest.raises(SnapshotNotFoundError, match="lagoctl snapshot clean"):
            lab.is_dirty()
