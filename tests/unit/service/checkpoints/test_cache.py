"""The cache on fakes: kept once, restored later, never in the way."""

import os
import shutil
import threading
from contextlib import suppress
from types import SimpleNamespace

import attrs
import pytest
from fake_labs import lab_spec, vm

from lago_sdk import CheckpointStage, CommandResult, Config, DeployError, Prefix
from lago_sdk.connect import open_checkpoints
from lago_sdk.errors import HostError, HypervisorError, ImageError, LagoError
from lago_sdk.ports import HostKind
from lago_sdk.service.checkpoints import adopt
from lago_sdk.service.checkpoints.gc import choose_garbage, collect_checkpoints
from lago_sdk.service.checkpoints.key import Key
from lago_sdk.service.checkpoints.model import Checkpoint
from lago_sdk.service.forks import layers
from lago_sdk.service.store import PrefixRecord
from lago_sdk.spec.disk import DiskFormat
from lago_sdk.testing import FakeHost, make_world

RAW = {"type": "empty", "size": "1M", "name": "raw", "dev": "vdb", "format": "raw"}
KEPT, RESTORED, BOOTED = CheckpointStage.KEPT, CheckpointStage.RESTORED, CheckpointStage.BOOTED
SHELL = "/bin/sh -s --"


class Machine:
    """Makes labs as `Prefix.create` does, each in a world of fakes, all with one cache."""

    def __init__(self, tmp_path, monkeypatch):
        self.path = tmp_path
        self.config = Config(cache_dir=tmp_path / "cache", lock_timeout=0.1)
        self.script = tmp_path / "setup.sh"
        self.script.write_text("#!/bin/sh\ntrue\n")
        self.worlds = []
        self.host = None
        self.qemu = "7.2.22"
        self.guest_code = 0
        self.files = make_world().files
        monkeypatch.setattr("lago_sdk.connect.connect", lambda *_, **__: self.worlds[-1])
        monkeypatch.setattr("lago_sdk.connect.decide_record", self._decide)

    def _decide(self, *_args, cache, **_options):
        is_system = self.host is not None
        host = "qemu:///system" if is_system else "private"
        return PrefixRecord(host=host, run_dir="/run/x", cache=cache)

    def make_world(self):
        world = attrs.evolve(make_world(host=self.host, config=self.config), files=self.files)
        world.fingerprints.host["qemu"] = self.qemu
        for name in ("web", "db"):
            world.guests[name].answer_with(SHELL, self._deploy)
            world.guests[name].answer("true")
        self.worlds.append(world)
        return world

    def _deploy(self, call):
        return CommandResult(command=call.command, code=self.guest_code, out="", err="")

    def spec(self, **changes):
        meta = {"deploy-scripts": [str(self.script)]}
        web = vm(disks=[*vm()["disks"], RAW], metadata=meta, **changes)
        return lab_spec(web=web, db=vm())

    def create(self, name="lab", spec=None, **options):
        self.make_world()
        return Prefix.create(
            spec or self.spec(),
            workdir=self.path / name,
            config=self.config,
            cache=True,
            observer=self.worlds[-1].log,
            **options,
        )

    def up(self, name="lab", spec=None):
        prefix = self.create(name, spec)
        return prefix, prefix.start()

    @property
    def store(self):
        return open_checkpoints(self.config)

    @property
    def warnings(self):
        return self.worlds[-1].log.warnings

    def deploys(self):
        return sum(bool(call.input) for call in self.worlds[-1].guests["web"].calls)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def restores(prefix):
    return prefix._world.hypervisor.count("restore_outside")


def test_the_first_lab_boots_is_deployed_and_kept_the_second_is_restored(machine):
    one, report = machine.up("one")
    assert report.checkpoint.stage is KEPT
    assert machine.deploys() == 1
    assert restores(one) == 0
    two, report = machine.up("two")
    assert report.checkpoint.stage is RESTORED
    assert report.checkpoint.key == one.checkpoint.key
    assert report.checkpoint.made == one.checkpoint.made
    assert set(report.started) == {"web", "db"}
    assert machine.deploys() == 0
    assert restores(two) == 2
    assert [text for text in machine.warnings if "clock" not in text] == []  # fakes have none
    assert one.uuid != two.uuid
    assert one._layout.private_key.read_bytes() == two._layout.private_key.read_bytes()
    assert not two._layout.fork_state.exists()
    assert two.status().checkpoint == two.checkpoint
    (found,) = machine.store.list()
    assert (found.hits, found.users, set(found.vms)) == (1, 1, {"web", "db"})


def test_a_restored_lab_needs_nothing_of_the_cache(machine):
    machine.up("one")
    two, _ = machine.up("two")
    (found,) = machine.store.list()
    assert found.reclaimable < found.disk_usage
    collect_checkpoints(machine.store, older_than=-1.0, max_size=None)
    assert machine.store.list() == ()
    assert not any((found.path.parent / ".removed").iterdir())
    for layer in two._layout.layers.iterdir():
        assert layer.stat().st_nlink == 1
    two.stop()
    assert set(two.start().started) == {"web", "db"}
    assert all(d.format is DiskFormat.QCOW2 for v in two.plan.vms for d in v.disks)


def test_a_lab_that_was_made_of_a_checkpoint_survives_its_removal_before_the_start(machine):
    machine.up("one")
    two = machine.create("two")
    assert two.checkpoint.stage is CheckpointStage.FROZEN
    machine.store.remove(two.checkpoint.key)
    assert two.start().checkpoint.stage is RESTORED


@pytest.mark.parametrize("change", ["memory", "script", "qemu"])
def test_another_lab_boots_and_says_what_is_different(machine, change):
    machine.up("one")
    spec = machine.spec()
    if change == "memory":
        spec["domains"]["web"]["memory"] = 65
    elif change == "script":
        machine.script.write_text("#!/bin/sh\nfalse\n")
    else:
        machine.qemu = "7.2.23"
    two, report = machine.up("two", spec)
    assert report.checkpoint.stage is KEPT
    assert restores(two) == 0
    assert machine.deploys() == 1
    notes = [str(event) for event in machine.worlds[-1].log.events if "differs in" in str(event)]
    assert {"memory": "spec/memory", "script": "deploy_scripts/0", "qemu": "host/qemu"}[
        change
    ] in notes[0]
    assert len(machine.store.list()) == 2


def test_deploy_is_not_repeated_until_the_vm_boots_again(machine):
    prefix, _ = machine.up()
    assert prefix.deploy().skipped == ("web",)
    assert machine.deploys() == 1
    report = prefix.deploy(again=True)
    assert (report.skipped, list(report.runs)) == ((), ["web"])
    prefix.stop()
    prefix.start()
    assert list(prefix.deploy().runs) == ["web"]


def test_a_deploy_that_fails_keeps_nothing_and_is_done_again(machine):
    machine.guest_code = 1
    prefix = machine.create()
    with pytest.raises(DeployError):
        prefix.start()
    assert machine.store.list() == ()
    machine.guest_code = 0
    report = prefix.start()
    assert report.checkpoint.stage is BOOTED  # somebody may have worked in it
    assert prefix.deploy().skipped == ("web",)
    assert machine.store.list() == ()


def test_the_start_of_some_vms_makes_it_a_lab_like_any_other(machine):
    machine.up("one")
    two = machine.create("two")
    report = two.start("db")
    assert (report.started, report.checkpoint) == (("db",), None)
    assert two.start().started == ("web",)
    assert restores(two) == 0
    assert all(
        disk.name != "raw" or disk.format is DiskFormat.RAW for disk in two.plan.vms[0].disks
    )


def test_a_lab_that_is_changed_before_its_start_is_not_restored(machine):
    machine.up("one")
    two = machine.create("two")
    two.create_snapshots("before")
    report = two.start()
    assert report.checkpoint.stage is BOOTED
    assert machine.deploys() == 1


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "key", "record"])
def test_a_damaged_checkpoint_is_thrown_away_and_the_lab_boots(machine, damage):
    machine.up("one")
    (found,) = machine.store.list()
    memory = found.path / "fork" / "web.memory"
    if damage == "truncate":
        os.truncate(memory, 3)
    elif damage == "flip":
        data = bytearray(memory.read_bytes())
        data[0] ^= 1
        memory.write_bytes(data)
    elif damage == "remove":
        memory.unlink()
    elif damage == "key":
        (found.path / "key.json").write_text((found.path / "key.json").read_text() + " ")
    else:
        (found.path / "record.json").write_text("{")
    two, report = machine.up("two")
    assert report.checkpoint.stage is KEPT
    assert restores(two) == 0
    (warning,) = machine.warnings
    assert "is damaged, and was removed" in warning
    assert machine.up("three")[1].checkpoint.stage is RESTORED


def test_several_damaged_files_are_one_damaged_checkpoint(machine):
    machine.up("one")
    (found,) = machine.store.list()
    for path in (found.path / "fork").glob("*.memory"):
        os.truncate(path, 3)
    _, report = machine.up("two")
    assert report.checkpoint.stage is KEPT
    (warning,) = machine.warnings
    assert "is damaged, and was removed" in warning


def test_a_checkpoint_that_is_removed_while_it_is_taken_is_a_miss(machine, monkeypatch):
    machine.up("one")

    def link(source, target, images):
        shutil.rmtree(source.parents[1], ignore_errors=True)  # all of it, or nearly
        shutil.rmtree(machine.store.path, ignore_errors=True)
        return layers.link(source, target, images)

    monkeypatch.setattr(adopt, "link", link)
    _, report = machine.up("two")
    assert report.checkpoint.stage is KEPT
    assert machine.warnings == ()


def test_a_checkpoint_that_cannot_be_copied_is_told_and_stays(machine, monkeypatch):
    machine.up("one")

    def refuse(*_):
        raise ImageError("no space left")

    monkeypatch.setattr(adopt, "link", refuse)
    two = machine.create("two")
    assert two.checkpoint.stage is CheckpointStage.COLD
    assert "cannot be taken, and the lab boots" in machine.warnings[0]
    assert len(machine.store.list()) == 1


def test_a_memory_that_the_hypervisor_refuses_is_thrown_away_and_the_lab_boots(machine):
    machine.up("one")
    two = machine.create("two")
    world = machine.worlds[-1]
    world.hypervisor.fail(two.plan.get_vm("web").domain, HypervisorError("no"), on="load")
    report = two.start()
    assert report.checkpoint.stage is KEPT
    assert machine.deploys() == 1
    assert "no" in machine.warnings[0]


def test_a_host_that_does_not_come_up_is_not_the_checkpoints_fault(machine):
    machine.up("one")
    two = machine.create("two")
    machine.worlds[-1].host.fail("start", HostError("no namespaces"))
    with pytest.raises(HostError):
        two.start()
    machine.worlds[-1].host.fail("start", None)
    assert two.start().checkpoint.stage is RESTORED


def test_what_changed_between_making_and_start_is_not_restored(machine):
    machine.up("one")
    two = machine.create("two")
    machine.worlds[-1].fingerprints.host["qemu"] = "9"
    assert two.start().checkpoint.stage is KEPT
    assert len(machine.store.list()) == 2


def test_what_changed_while_it_came_up_is_not_kept(machine):
    prefix = machine.create()
    world = machine.worlds[-1]

    def upgrade(call):
        world.fingerprints.host["qemu"] = "9"
        return CommandResult(command=call.command, code=0, out="", err="")

    world.guests["web"].answer_with(SHELL, upgrade)
    assert prefix.start().checkpoint.stage is BOOTED
    assert machine.store.list() == ()
    assert "changed meanwhile" in machine.warnings[0]


def test_a_memory_that_cannot_be_written_is_told_and_the_lab_runs_on(machine):
    prefix = machine.create()
    error = HypervisorError("no space left")
    machine.worlds[-1].hypervisor.fail(prefix.plan.get_vm("db").domain, error, on="save")
    report = prefix.start()
    assert report.checkpoint.stage is BOOTED
    assert "no space left" in machine.warnings[0]
    assert all(found.state.value == "running" for found in prefix.status().vms)
    assert list((machine.config.checkpoints / ".making").iterdir()) == []


def test_a_file_system_without_room_is_told_before_anything_stands_still(machine, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    prefix, report = machine.up()
    assert report.checkpoint.stage is BOOTED
    assert "the checkpoint may need" in machine.warnings[0]
    assert prefix._world.hypervisor.count("suspend_domain") == 0


def test_a_cache_that_cannot_be_written_is_told_and_the_lab_runs(machine):
    machine.config.cache_dir.write_text("a file")
    _, report = machine.up()
    assert report.checkpoint.stage is BOOTED
    assert "cannot be written" in machine.warnings[0]


def test_labs_on_a_shared_host_come_up_provisioned_and_are_told_why_they_are_slow(machine):
    machine.host = FakeHost(kind=HostKind.SYSTEM)
    prefix, report = machine.up()
    assert (report.checkpoint.stage, report.checkpoint.key) == (BOOTED, None)
    assert machine.deploys() == 1
    assert "it is not on a private host" in machine.warnings[0]
    assert prefix.plan.vms[0].domain.startswith(prefix.uuid[:8])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shares": [{"source": "/tmp", "tag": "t"}]}, "shares the directory '/tmp'"),
        ({"firmware": "efi"}, "UEFI variables"),
        ({"tpm": True}, "TPM"),
        ({"xml": "<hostdev mode='subsystem' type='usb'/>"}, "<hostdev>"),
        ({"xml": "<domain><memory>1</memory></domain>"}, "<memory>"),
    ],
)
def test_what_nobody_can_know_is_no_part_of_a_checkpoint(machine, changes, reason):
    machine.create(spec=lab_spec(web=vm(**changes)))
    assert reason in machine.warnings[0]


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        ({"type": "file", "url": "http://x/y.qcow2", "make_a_copy": True}, "is downloaded"),
        ({"type": "file", "path": "data.raw", "format": "raw"}, "is used in place"),
        (
            {
                "type": "template",
                "template_name": "t",
                "build": [{"virt-customize": {"install": "x"}}],
            },
            "option 'install'",
        ),
        (
            {
                "type": "template",
                "template_name": "t",
                "build": [{"virt-customize": {"ssh-inject": "root:file:/k"}}],
            },
            "option 'ssh-inject'",
        ),
    ],
)
def test_disks_that_nobody_can_know_are_no_part_of_a_checkpoint(machine, disk, reason):
    (machine.path / "data.raw").write_text("x")
    world = machine.make_world()
    world.download.offer("http://x/y.qcow2", (machine.path / "data.raw").read_bytes())
    named = {**disk, "name": "r", "dev": "vda"}
    if "path" in named:
        named["path"] = str(machine.path / named["path"])
    with suppress(LagoError):  # of the fake download's content no disk can be made
        machine.create(spec=lab_spec(web=vm(disks=[named])))
    assert reason in machine.warnings[0]


def test_of_two_at_once_one_boots_and_the_other_goes_on_from_it(machine):
    one, two = machine.create("one"), None
    first = machine.worlds[-1]
    two = machine.create("two")
    second = machine.worlds[-1]
    reached, go = threading.Event(), threading.Event()

    def wait(call):
        reached.set()
        assert go.wait(20)
        return CommandResult(command=call.command, code=0, out="", err="")

    first.guests["web"].answer_with(SHELL, wait)
    reports = {}
    threads = [
        threading.Thread(target=lambda: reports.update(one=one.start())),
        threading.Thread(target=lambda: reports.update(two=two.start())),
    ]
    threads[0].start()
    assert reached.wait(20)
    threads[1].start()
    while not any("waiting for the same lab" in str(event) for event in second.log.events):
        assert threads[1].is_alive()
    machine.worlds.append(second)
    go.set()
    for thread in threads:
        thread.join(20)
    assert reports["one"].checkpoint.stage is KEPT
    assert reports["two"].checkpoint.stage is RESTORED
    assert not any(call.input for call in second.guests["web"].calls)


def test_forks_of_a_restored_lab_are_like_any_other(machine):
    machine.up("one")
    two, _ = machine.up("two")
    machine.make_world()
    fork = two.fork("again")
    assert fork.checkpoint is None
    assert {found.state.value for found in fork.status().vms} == {"running"}


def test_a_creation_that_is_cut_off_while_it_takes_a_checkpoint_is_finished(machine, monkeypatch):
    machine.up("one")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adopt, "write_use", die)
        patch.setattr(Prefix, "_discard", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            machine.create("two")
    two = Prefix.open_path(machine.path / "two" / "default")
    assert not two.is_complete
    assert two.start().checkpoint.stage is RESTORED


# -- collection ----------------------------------------------------------------------------


def checkpoint(name, *, used, size):
    return Checkpoint(
        key=name,
        path=None,
        vms=("web",),
        made=0.0,
        last_used=used,
        hits=0,
        lab="",
        disk_usage=size,
        reclaimable=size,
        users=0,
    )


def test_garbage_is_what_is_old_and_then_what_was_used_least_recently():
    found = [checkpoint("a", used=10, size=5), checkpoint("b", used=20, size=5)]
    found.append(checkpoint("c", used=30, size=5))

    def choose(**limits):
        limits = {"older_than": None, "max_size": None, **limits}
        return [item.key for item in choose_garbage(found, now=40, **limits)]

    assert choose() == []
    assert choose(older_than=15) == ["a", "b"]
    assert choose(max_size=10) == ["a"]
    assert choose(max_size=0) == ["a", "b", "c"]
    assert choose(older_than=25, max_size=9) == ["a", "b"]


def test_what_killed_processes_left_is_removed_and_what_is_being_made_is_not(machine):
    store = machine.store
    with store.making() as alive:
        left = alive.path.with_name("0" * 32)
        left.mkdir()
        (left / "memory").write_text("half")
        collect_checkpoints(store, older_than=None, max_size=None)
        assert alive.path.is_dir()
        assert not left.exists()
        assert store.list() == ()
    assert list((store.path / ".making").iterdir()) == []


def test_the_limits_of_the_settings_hold_when_a_checkpoint_is_kept(machine):
    machine.config = attrs.evolve(machine.config, checkpoint_max_size=1)
    _, report = machine.up()
    assert report.checkpoint.stage is KEPT
    assert machine.store.list() == ()


def test_the_first_of_two_that_are_kept_stays_and_a_damaged_one_does_not(machine):
    store, key = machine.store, Key("{}")

    def publish(word):
        with store.making() as layout:
            (layout.path / "word").write_text(word)
            store.publish(layout, key, lab="/lab", vms=("web",))
        return (store.path / key.digest / "word").read_text()

    assert publish("one") == "one"
    assert publish("two") == "one"
    (store.path / key.digest / "key.json").write_text("{ }")
    assert publish("three") == "three"


def test_files_are_the_owners_alone(machine):
    machine.up()
    (found,) = machine.store.list()
    modes = {path: path.stat().st_mode & 0o777 for path in [found.path, *found.path.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert found.path.parent.stat().st_mode & 0o777 == 0o700
