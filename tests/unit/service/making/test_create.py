"""Creating a prefix: what is made, that it can be taken up anywhere, and what a failure leaves."""

from threading import Barrier

import attrs
import pytest
from fake_labs import Creation, Killed, checked, lab_spec, make_lab, vm

from lago_sdk.errors import HostError, ImageError, PrefixExistsError, VMError
from lago_sdk.events import StageStarted
from lago_sdk.ports import Feature, HostKind
from lago_sdk.service.journal import Journal
from lago_sdk.testing import FakeFiles, FakeHost, FakeImages, FakeKeys, FakeSeeds, make_world


@pytest.fixture
def creation(tmp_path):
    return Creation(tmp_path / "default", lab_spec())


def test_everything_is_there_and_marked_as_complete(creation):
    world = make_world()
    plan = creation.run(world)
    assert creation.layout.initialized.exists()
    assert creation.images() == {
        path.rpartition("/")[2] for one in plan.vms for path in (one.disks[0].path, one.seed)
    }
    assert {"web", "db"} == world.keys.pinned.keys()
    assert len(set(world.keys.pinned.values())) == 2
    assert Journal(creation.layout.journal).list_open() == ()
    assert world.host.calls == []


def test_seeds_carry_the_key_and_the_host_key_that_is_pinned(creation):
    world = make_world()
    plan = creation.run(world)
    public = (creation.layout.path / "id_ed25519.pub").read_text().strip()
    for one in plan.vms:
        files = world.seeds.contents[creation.layout.path / one.seed]
        everything = b"".join(files.values()).decode()
        assert public in everything
        assert world.keys.pinned[one.name] in everything
        assert "meta-data" in files


def test_the_disk_is_an_overlay_on_the_template(creation):
    world = make_world()
    plan = creation.run(world)
    disk = plan.get_vm("web").disks[0]
    image = world.images.inspect(creation.layout.path / disk.path)
    assert image.backing == world.templates.get("tiny").path


class FatalImages(FakeImages):
    def create_overlay(self, path, backing, *, size=None):
        path.write_text("half of it")
        raise Killed


class FatalSeeds(FakeSeeds):
    def create_seed(self, path, files):
        raise Killed


class FatalKeys(FakeKeys):
    def create_key_pair(self, path, comment):
        raise Killed


class FatalFiles(FakeFiles):
    """Ends the process when the file called *fatal* is to be written."""

    def __init__(self, fatal):
        super().__init__()
        self.fatal = fatal

    def write_atomic(self, path, data, *, mode=0o644):
        if path.name == self.fatal:
            raise Killed
        super().write_atomic(path, data, mode=mode)


@pytest.mark.parametrize(
    "fatal",
    [
        {"keys": FatalKeys()},
        {"images": FatalImages()},
        {"seeds": FatalSeeds()},
        {"files": FatalFiles("initialized")},
    ],
    ids=lambda fatal: next(iter(fatal)),
)
def test_killed_anywhere_it_is_taken_up_with_the_same_plan(creation, fatal):
    with pytest.raises((Killed, BaseExceptionGroup)):
        creation.run(attrs.evolve(make_world(), **fatal))
    assert not creation.layout.initialized.exists()
    planned = creation.store.find_plan()
    assert planned is not None
    world = make_world(host=FakeHost())
    assert creation.run(world) == planned
    assert creation.layout.initialized.exists()
    assert not [name for name in creation.images() if name.endswith(".part")]
    for one in planned.vms:
        assert world.images.inspect(creation.layout.path / one.disks[0].path).backing


def test_killed_before_there_was_a_plan_it_makes_one(creation):
    def die(event):
        if isinstance(event, StageStarted) and event.stage == "plan":
            raise Killed

    with pytest.raises(Killed):
        creation.run(attrs.evolve(make_world(), observe=die))
    assert creation.store.find_plan() is None
    assert creation.run(make_world()).vms


def test_done_again_it_keeps_keys_disks_and_seeds(creation):
    world = make_world()
    creation.run(world)
    disk = next(creation.layout.images.glob("*.qcow2"))
    world.images.resize(disk, 5 << 30)
    pinned = dict(world.keys.pinned)
    again = make_world()
    creation.run(again)
    assert again.images.inspect(disk).size == 5 << 30
    assert again.seeds.contents == {}
    assert again.keys.pinned == {}
    lines = creation.layout.known_hosts.read_text().splitlines()
    assert sorted(lines) == sorted(f"{name} {key}" for name, key in pinned.items())


def test_a_prefix_that_was_cut_off_is_finished_by_start(tmp_path):
    prefix, _ = make_lab(tmp_path)
    (prefix.path / "initialized").unlink()
    next((prefix.path / "images").glob("*.qcow2")).unlink()
    assert not prefix.is_complete
    assert prefix.start().started == ("web", "db")
    assert prefix.is_complete


def test_a_disk_that_cannot_be_made_names_vm_and_disk_and_leaves_nothing(tmp_path):
    disk = {"type": "template", "template_name": "tiny", "size": "1MiB", "name": "root"}
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
    with pytest.raises(VMError, match="disk 'root' of 'web': an overlay of"):
        make_lab(tmp_path, lab_spec(web=vm(disks=[disk]), db=vm()), world=world)
    assert not (tmp_path / "lab").exists()
    assert world.leases.taken(uuid="") == frozenset()


def test_several_disks_that_cannot_be_made_come_together(tmp_path):
    class NoImages(FakeImages):
        def create_overlay(self, path, backing, *, size=None):
            barrier.wait(10)
            raise ImageError("the file system is full")

    barrier = Barrier(2)
    with pytest.raises(ExceptionGroup) as caught:
        make_lab(tmp_path, world=attrs.evolve(make_world(), images=NoImages()))
    assert {error.vm for error in caught.value.exceptions} == {"web", "db"}
    assert not (tmp_path / "lab").exists()


def test_what_the_host_lacks_is_told_before_anything_is_made(tmp_path):
    world = attrs.evolve(make_world(), find_missing=lambda: {Feature.EFI: "ovmf"})
    with pytest.raises(HostError, match="apt-get install ovmf"):
        make_lab(tmp_path, lab_spec(web=vm(firmware="efi")), world=world)
    assert not (tmp_path / "lab").exists()


def test_a_taken_name_is_refused_and_what_is_there_stays(tmp_path):
    prefix, _ = make_lab(tmp_path)
    with pytest.raises(PrefixExistsError):
        make_lab(tmp_path)
    assert prefix.is_complete


def test_a_spec_may_come_as_anything(tmp_path):
    path = tmp_path / "LagoInitFile"
    path.write_text(checked(lab_spec()).dumps())
    for number, spec in enumerate((path, str(path), checked(lab_spec()))):
        prefix, _ = make_lab(tmp_path, spec, name=f"lab{number}")
        assert [one.name for one in prefix.plan.vms] == ["web", "db"]


def test_a_build_runs_over_the_unfinished_disk(tmp_path):
    disk = {
        "type": "template",
        "template_name": "tiny",
        "name": "root",
        "build": [{"virt-customize": {"hostname": "web"}}],
    }
    world = make_world()
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(disks=[disk])), world=world)
    (build,) = world.builders["virt-customize"].builds
    assert build.disk.name.endswith(".part")
    assert build.arguments == ("--hostname", "web")
    assert prefix.is_complete
