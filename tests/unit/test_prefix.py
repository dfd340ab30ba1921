"""The handle of a prefix: made, found, locked, and gone at the end."""

import subprocess
import sys
import threading

import attrs
import pytest
from fake_labs import domain, lab_spec, make_lab, running, vm

from lago_sdk import Config, LockedError, Prefix, PrefixExistsError, PrefixNotFoundError
from lago_sdk.adapters import files
from lago_sdk.errors import HostError, HypervisorError, WorkdirError
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.store import PrefixRecord, PrefixStore
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.testing import FakeGuest, FakeHost, make_world
from lago_sdk.workdir import Workdir

RECORD = PrefixRecord(host="private", run_dir="/run/x")


@pytest.fixture
def world(monkeypatch):
    """The world that prefixes of this test are made and opened in."""
    world = make_world()
    monkeypatch.setattr("lago_sdk.connect.connect", lambda *_args, **_options: world)
    monkeypatch.setattr("lago_sdk.connect.decide_record", lambda *_args, **_options: RECORD)
    return world


def create(tmp_path, spec=None, **options):
    options = {"workdir": tmp_path / "lab", "config": Config(lock_timeout=0.1), **options}
    return Prefix.create(spec or lab_spec(), **options)


class TestCreate:
    def test_a_prefix_is_made_and_current_and_nothing_runs(self, tmp_path, world):
        prefix = create(tmp_path)
        assert prefix.is_complete
        assert Workdir(tmp_path / "lab").current == "default"
        assert repr(prefix) == f"<Prefix default at {tmp_path}/lab/default>"
        assert world.host.calls == []

    def test_it_is_found_again_with_the_same_plan(self, tmp_path, world):
        made = create(tmp_path)
        for found in (
            Prefix.open(tmp_path / "lab"),
            Prefix.open(tmp_path / "lab", "default"),
            Prefix.find(tmp_path / "lab"),
            Prefix.open_path(made.path),
        ):
            assert (found.uuid, found.plan, found.spec.vms) == (
                made.uuid,
                made.plan,
                made.spec.vms,
            )

    def test_a_failure_leaves_nothing(self, tmp_path, world):
        world.keys.create_key_pair = fail
        with pytest.raises(HypervisorError):
            create(tmp_path)
        assert not (tmp_path / "lab").exists()

    def test_a_failure_leaves_other_prefixes(self, tmp_path, world):
        other = create(tmp_path, name="other")
        world.keys.create_key_pair = fail
        with pytest.raises(HypervisorError):
            create(tmp_path)
        assert Workdir(tmp_path / "lab").prefixes == ("other",)
        assert other.is_complete

    def test_a_failure_whose_remains_cannot_be_removed_says_so(self, tmp_path, world):
        world.keys.create_key_pair = fail
        world.host.fail("end", HostError("a process does not go away"))
        with pytest.raises(HypervisorError):
            create(tmp_path)
        assert "does not go away" in world.log.warnings[0]
        world.host.fail("end", None)
        del world.keys.create_key_pair
        assert create(tmp_path).is_complete

    def test_a_taken_name_is_refused(self, tmp_path, world):
        prefix = create(tmp_path)
        with pytest.raises(PrefixExistsError):
            create(tmp_path)
        assert prefix.is_complete

    def test_what_was_cut_off_is_made_anew(self, tmp_path, world):
        first = create(tmp_path)
        (first.path / "initialized").unlink()
        second = create(tmp_path)
        assert second.uuid != first.uuid
        assert second.is_complete

    def test_who_is_being_created_by_another_is_left_to_them(self, tmp_path, world):
        theirs = create(tmp_path)
        (theirs.path / "initialized").unlink()
        with (
            world.files.lock(theirs.path / ".lock", timeout=0, purpose="create the prefix"),
            pytest.raises(LockedError),
        ):
            create(tmp_path)
        assert (theirs.path / "uuid").read_text() == theirs.uuid

    def test_who_was_finished_by_another_while_we_waited_is_not_destroyed(self, tmp_path, world):
        world = patient(world)
        theirs = create(tmp_path)
        marker = theirs.path / "initialized"
        marker.unlink()
        with finishing(world, theirs.path, marker.touch), pytest.raises(PrefixExistsError):
            create(tmp_path)
        assert (theirs.path / "uuid").read_text() == theirs.uuid
        assert theirs.is_complete

    def test_two_who_begin_at_once_do_not_make_one_mixture(self, tmp_path, world):
        """The other one had its directory, but no uuid in it yet, when we looked."""
        world = patient(world)
        place = Workdir.create(tmp_path / "lab").make_place("default")
        spec = PrefixSpec.of(lab_spec())

        def write():
            PrefixStore(PrefixLayout(place), world.files).create(RECORD, spec, "f" * 32)

        with finishing(world, place, write), pytest.raises(PrefixExistsError):
            create(tmp_path)
        assert (place / "uuid").read_text() == "f" * 32


def patient(world):
    """Let our world wait for others' locks."""
    object.__setattr__(world, "config", Config(lock_timeout=10))
    return world


class finishing:  # noqa: N801 - reads as a verb
    """Hold the lock of a prefix; do something and let go once somebody waits for it."""

    def __init__(self, world, place, work):
        self.work = work
        self.lock = world.files.lock(place / ".lock", timeout=0, purpose="create the prefix")
        self.timer = threading.Timer(0.1, self.finish)

    def finish(self):
        self.work()
        self.lock.__exit__(None, None, None)

    def __enter__(self):
        self.lock.__enter__()
        self.timer.start()

    def __exit__(self, *error):
        self.timer.join()


def fail(*_args):
    raise HypervisorError("broken")


class TestContext:
    def test_the_end_of_the_block_destroys(self, tmp_path):
        with make_lab(tmp_path)[0] as prefix:
            prefix.start()
        assert not (tmp_path / "lab").exists()

    def test_unless_it_is_kept(self, tmp_path):
        prefix, world = make_lab(tmp_path, keep=True)
        with prefix:
            prefix.start()
        assert running(prefix) == {"web", "db"}
        assert not world.guests["web"].is_open
        assert "close" in world.host.calls

    def test_a_failure_in_the_block_destroys_too(self, tmp_path):
        with pytest.raises(ZeroDivisionError), make_lab(tmp_path)[0] as prefix:
            raise ZeroDivisionError
        assert not prefix.path.exists()

    def test_destroying_inside_the_block_is_fine(self, tmp_path):
        with make_lab(tmp_path)[0] as prefix:
            prefix.destroy()


class TestLock:
    @pytest.mark.parametrize("verb", ["start", "stop", "shutdown", "destroy"])
    def test_who_is_changed_by_another_process_is_told_quickly(self, tmp_path, verb):
        world = attrs.evolve(make_world(config=Config(lock_timeout=0.05)), files=files)
        prefix, _ = make_lab(tmp_path, world=world)
        with files.lock(prefix.path / ".lock", timeout=0, purpose="collect evidence"):
            with pytest.raises(LockedError, match="to collect evidence"):
                getattr(prefix, verb)()
            assert prefix.status().is_complete
        getattr(prefix, verb)()

    def test_another_process_is_named(self, tmp_path):
        world = attrs.evolve(make_world(config=Config(lock_timeout=0.05)), files=files)
        prefix, _ = make_lab(tmp_path, world=world)
        program = (
            "import sys\nfrom pathlib import Path\nfrom lago_sdk.adapters import files\n"
            "with files.lock(Path(sys.argv[1]), timeout=5, purpose='start'):\n"
            "    print('held', flush=True)\n    sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(prefix.path / ".lock")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(LockedError, match=f"held by process {holder.pid}"):
                prefix.start()
            holder.communicate()
        assert prefix.start().changed


class TestGone:
    @pytest.mark.parametrize("verb", ["start", "stop", "shutdown"])
    def test_a_destroyed_prefix_does_nothing_more(self, tmp_path, verb):
        prefix, _ = make_lab(tmp_path)
        prefix.destroy()
        with pytest.raises(PrefixNotFoundError, match="is gone"):
            getattr(prefix, verb)()
        assert not prefix.path.exists()

    def test_what_is_no_prefix_cannot_be_opened(self, tmp_path):
        with pytest.raises(WorkdirError, match="is not a prefix"):
            Prefix.open_path(tmp_path)
        with pytest.raises(PrefixNotFoundError, match="lagoctl init"):
            Prefix.find(tmp_path / "nowhere")

    def test_an_unfinished_prefix_says_how_to_finish_it(self, tmp_path, world):
        prefix = create(tmp_path)
        (prefix.path / "plan.json").unlink()
        (prefix.path / "initialized").unlink()
        again = Prefix.open_path(prefix.path)
        with pytest.raises(WorkdirError, match="unfinished") as caught:
            again.vms  # noqa: B018 - looking is the test
        assert "lagoctl start" in caught.value.hint
        again.start()
        assert set(again.vms) == {"web", "db"}

    def test_a_damaged_record_is_one_sentence(self, tmp_path):
        prefix, _ = make_lab(tmp_path)
        (prefix.path / "metadata").write_text("{")
        with pytest.raises(WorkdirError, match="cannot be read"):
            Prefix.open_path(prefix.path)


class TestGuests:
    def test_connections_are_kept_until_a_stop(self, tmp_path):
        opened = []

        def open_guest(target):
            opened.append(target)
            return FakeGuest()

        world = attrs.evolve(make_world(host=FakeHost()), open_guest=open_guest)
        prefix, _ = make_lab(tmp_path, lab_spec(web=vm()), world=world)
        prefix.start()
        for _again in range(3):
            prefix.vms["web"].ssh("true")
        assert len(opened) == 1
        prefix.stop()
        prefix.start()
        prefix.vms["web"].ssh("true")
        assert len(opened) == 2
        target = opened[0]
        assert (target.vm, target.address, target.user) == ("web", prefix.vms["web"].ip, "root")
        assert target.key_path == prefix.path / "id_ed25519"

    def test_a_vm_that_was_powered_off_behind_our_back_starts_again(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.hypervisor.end_domain(domain(prefix, "web"))
        assert prefix.start().started == ("web",)

    def test_a_single_name_may_be_given_as_it_is(self, tmp_path):
        prefix, _ = make_lab(tmp_path)
        assert prefix.start("web").started == ("web",)
        assert prefix.stop("web") == ("web",)
