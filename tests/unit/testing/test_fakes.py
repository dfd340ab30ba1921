"""The fakes beyond what their ports say: what tests arrange with them and see of them."""

import socket
import threading
import time

import attrs
import pytest
from fake_labs import lab_spec, make_lab, vm

import lago_sdk.testing
from lago_sdk import ports
from lago_sdk.config import Config
from lago_sdk.errors import HostError, LagoError, MissingToolError, TemplateNotFoundError
from lago_sdk.events import Note
from lago_sdk.ports import HostKind
from lago_sdk.service.world import World
from lago_sdk.state import VMState
from lago_sdk.testing import (
    FakeClock,
    FakeDownload,
    FakeHost,
    FakeHypervisor,
    FakeLeases,
    FakeTemplates,
    make_prefix,
    make_world,
)


class TestPackage:
    def test_every_name_is_there_and_documented(self):
        assert dir(lago_sdk.testing) == sorted(lago_sdk.testing.__all__)
        for name in lago_sdk.testing.__all__:
            assert getattr(lago_sdk.testing, name).__doc__

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="no attribute 'FakeHots'"):
            lago_sdk.testing.FakeHots  # noqa: B018 - looking is the test

    def test_importing_it_waits_for_nothing(self):
        import subprocess
        import sys

        program = "import sys, lago_sdk.testing; print(sorted(sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        assert "lago_sdk.testing.world" not in done.stdout
        assert "lago_sdk.prefix" not in done.stdout


FUNCTIONS = {"find_barrier", "find_missing", "mark_used"}
"""Fields of a world that are plain functions, and no ports."""


class TestWorld:
    def test_every_port_has_a_fake(self):
        world = make_world()
        assert isinstance(world, World)
        for field in attrs.fields(World):
            value = getattr(world, field.name)
            if field.name not in {"config", "environ", "cpus", "proxy", *FUNCTIONS}:
                one = next(iter(value.values())) if field.name == "builders" else value
                assert type(one).__module__.startswith("lago_sdk.testing."), field.name

    def test_two_worlds_do_not_know_of_each_other(self, tmp_path):
        first, _ = make_lab(tmp_path / "a")
        second, world = make_lab(tmp_path / "b")
        first.start()
        assert world.hypervisor.calls == []
        assert {one.state for one in second.status().vms} == {VMState.DOWN}

    def test_two_worlds_may_share_a_host(self, tmp_path):
        host, leases = FakeHost(kind=HostKind.SYSTEM), FakeLeases()
        plans = []
        for name in ("a", "b"):
            world = make_world(host=host, leases=leases)
            plans.append(make_lab(tmp_path / name, world=world)[0].plan)
        assert plans[0].nets[0].subnet != plans[1].nets[0].subnet

    def test_settings_processors_and_variables_are_handed_on(self):
        config = Config(ssh_user="ann")
        world = make_world(config=config, cpus=2, environ={"HOME": "/h"})
        assert (world.config, world.cpus, world.environ) == (config, 2, {"HOME": "/h"})

    def test_the_log_knows_stages_and_warnings(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
        world.log.events.clear()
        prefix.start()
        assert world.log.stages == (
            ("start host", ""),
            ("start nets", "lan"),
            ("start", "web"),
            ("wait for ssh", "web"),
        )
        world.observe(Note(message="by the way"))
        world.observe(Note(message="look out", warning=True))
        assert world.log.warnings == ("look out",)

    def test_guests_answer_what_was_arranged_before_they_were_met(self, tmp_path):
        world = make_world()
        world.guests["web"].answer("uname -r", out="6.1\n")
        prefix, _ = make_lab(tmp_path, world=world)
        prefix.start()
        assert prefix.vms["web"].ssh("uname -r").check().out == "6.1\n"
        assert world.guests.targets["web"].address == prefix.vms["web"].ip

    def test_a_lab_takes_milliseconds(self, tmp_path):
        """The budget leaves room for a busy machine."""
        make_prefix(lab_spec(), tmp_path / "warm").destroy()
        begin = time.monotonic()
        with make_prefix(lab_spec(), tmp_path / "lab") as prefix:
            prefix.start()
        assert time.monotonic() - begin < 1

    def test_a_failed_prefix_leaves_nothing(self, tmp_path):
        world = make_world(templates=FakeTemplates([]))
        with pytest.raises(TemplateNotFoundError):
            make_prefix(lab_spec(), tmp_path / "lab", world=world)
        assert not (tmp_path / "lab").exists()


class TestHost:
    def test_a_private_one_is_up_from_start_to_end(self):
        host = FakeHost()
        port: ports.Host = host
        assert not port.is_up()
        with pytest.raises(HostError, match="not up"):
            port.hypervisor()
        port.start()
        assert port.is_up()
        assert port.hypervisor() is host.fake_hypervisor
        port.end()
        port.end()
        assert not port.is_up()
        assert host.calls == ["hypervisor", "start", "hypervisor", "end", "end"]

    def test_others_are_up_always(self):
        host = FakeHost(kind=HostKind.SYSTEM)
        host.end()
        assert host.is_up()

    @pytest.mark.parametrize("step", ["start", "end", "facts", "taken", "hypervisor"])
    def test_a_step_fails_until_it_is_mended(self, step):
        host = FakeHost(kind=HostKind.SYSTEM)
        host.fail(step, HostError("broken"))
        with pytest.raises(HostError, match="broken"):
            getattr(host, step)()
        assert host.is_up() == (step != "hypervisor")
        host.fail(step, None)
        getattr(host, step)()

    def test_dialing_reaches_a_server_or_is_refused(self):
        host = FakeHost()
        with socket.create_server(("127.0.0.1", 0)) as server:
            host.forward("192.168.200.2", 80, to=server.getsockname())
            with host.dial("192.168.200.2", 80, timeout=5) as ours:
                theirs, _ = server.accept()
                with theirs:
                    theirs.sendall(b"hello")
                    assert ours.recv(5) == b"hello"
                    assert ours.gettimeout() is None
        with pytest.raises(ConnectionRefusedError):
            host.dial("192.168.200.2", 81, timeout=5)

    def test_commands_are_answered_or_not_installed(self):
        host = FakeHost()
        host.answer(["ping", "web"], code=1, out="no")
        assert (host.run(["ping", "web"]).code, host.run(["ping", "web"]).out) == (1, "no")
        with pytest.raises(MissingToolError, match="'tcpdump'"):
            host.run(["tcpdump", "-n"])
        assert host.commands[-1] == ("tcpdump", "-n")


class TestHypervisor:
    XML = "<domain><name>web</name><uuid>u</uuid></domain>"

    def test_a_guest_may_be_deaf(self):
        hypervisor = FakeHypervisor()
        hypervisor.create_domain(self.XML)
        hypervisor.ignore_shutdown("web")
        hypervisor.shutdown_domain("web")
        assert hypervisor.find_domain("web").state is VMState.RUNNING
        hypervisor.end_domain("web")
        assert hypervisor.find_domain("web").state is VMState.SHUT_OFF

    @pytest.mark.parametrize("verb", ["end", "shutdown", "remove"])
    def test_every_verb_can_fail_and_work_again(self, verb):
        hypervisor = FakeHypervisor()
        hypervisor.create_domain(self.XML)
        hypervisor.fail("web", LagoError("stuck"), on=verb)
        with pytest.raises(LagoError, match="stuck"):
            getattr(hypervisor, f"{verb}_domain")("web")
        assert hypervisor.find_domain("web").state is VMState.RUNNING
        hypervisor.fail("web", None, on=verb)
        getattr(hypervisor, f"{verb}_domain")("web")

    def test_calls_are_counted(self):
        hypervisor = FakeHypervisor()
        hypervisor.create_domain(self.XML)
        hypervisor.find_domain("web")
        assert hypervisor.calls == [("create_domain", "web"), ("find_domain", "web")]
        assert hypervisor.count("find_domain") == 1


class TestClock:
    def test_sleeping_takes_no_time_and_sets_it_forward(self):
        clock = FakeClock(100)
        begin = time.monotonic()
        clock.sleep(1e6)
        assert clock.monotonic() == 100 + 1e6
        assert time.monotonic() - begin < 5

    def test_what_was_put_off_happens_in_order(self):
        clock, done = FakeClock(), []
        for seconds in (3, 1, 2):
            clock.call_later(seconds, lambda seconds=seconds: done.append(seconds))
        clock.sleep(0.5)
        assert done == []
        clock.sleep(1.5)
        assert done == [1, 2]
        clock.sleep(10)
        assert done == [1, 2, 3]

    def test_threads_may_sleep_together(self):
        clock = FakeClock()
        threads = [threading.Thread(target=clock.sleep, args=(1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.monotonic() == 8


class TestTemplates:
    def test_any_or_only_those_there_are(self):
        assert FakeTemplates().get("whatever", "7").size == 1 << 30
        few = FakeTemplates(["tiny"], size=5, metadata={"distro": "debian12"})
        assert few.get("tiny").metadata == {"distro": "debian12"}
        assert few.find("fedora") is None
        with pytest.raises(TemplateNotFoundError, match="did you mean 'tiny'"):
            few.get("tyny")

    def test_versions_are_different_images(self):
        templates = FakeTemplates()
        assert templates.get("a", "1") != templates.get("a", "2")
        path = templates.get("a", "2").path
        assert templates.find_by_path(path) == templates.get("a", "2")
        assert templates.find_by_path("/etc/passwd") is None


class TestDownload:
    def test_what_is_offered_can_be_had(self, tmp_path):
        download, told = FakeDownload(), []
        download.offer("http://x/a", b"data")
        download("http://x/a", tmp_path / "a", progress=lambda *done: told.append(done))
        assert ((tmp_path / "a").read_bytes(), told) == (b"data", [(4, 4)])
        with pytest.raises(LagoError, match="nothing is there"):
            download("http://y", tmp_path / "b", progress=lambda *_: None)
        assert download.urls == ["http://x/a", "http://y"]
