"""Stopping, shutting down and destroying: what ends, what stays, and what is told."""

import signal
import threading

import attrs
import pytest
from fake_labs import domain, lab_spec, make_lab, nets_up, network, running, states, vm

from lago_sdk.errors import (
    HostError,
    HypervisorError,
    LagoError,
    SSHError,
    VMError,
    VMNotFoundError,
    VMNotRunningError,
)
from lago_sdk.ports import HostKind
from lago_sdk.prefix import Prefix
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.power.stop import destroy_prefix
from lago_sdk.service.store import PrefixStore
from lago_sdk.state import NetState, VMState
from lago_sdk.testing import FakeFiles, FakeHost, make_world

DEAD = HostError("libvirtd does not answer")
STUCK = HypervisorError("libvirt refuses")


def make_shared_lab(tmp_path, spec=None, **options):
    return make_lab(
        tmp_path, spec, world=make_world(host=FakeHost(kind=HostKind.SYSTEM)), **options
    )


class TestStop:
    def test_of_one_vm_keeps_the_nets_of_the_others(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm("lan", "front"), db=vm("lan")))
        prefix.start()
        assert prefix.stop(["web"]) == ("web",)
        assert states(prefix)["db"] is VMState.RUNNING
        assert nets_up(prefix) == {"lan"}
        assert world.host.is_up()

    def test_of_all_ends_a_private_host(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        assert prefix.stop() == ("web", "db")
        assert not world.host.is_up()
        assert set(states(prefix).values()) == {VMState.DOWN}
        assert nets_up(prefix) == set()

    def test_of_all_removes_nets_and_leaves_a_shared_host(self, tmp_path):
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        assert prefix.stop() == ("web", "db")
        assert "end" not in world.host.calls
        assert world.hypervisor.list_networks(prefix.uuid) == {}
        assert states(prefix) == {"web": VMState.SHUT_OFF, "db": VMState.SHUT_OFF}

    def test_the_last_vm_ends_a_private_host_too(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        prefix.stop(["web"])
        prefix.stop(["db"])
        assert not world.host.is_up()

    def test_again_stops_nothing(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        assert prefix.stop() == ()
        prefix.start()
        prefix.stop()
        ended = world.hypervisor.count("end_domain")
        assert prefix.stop(["web"]) == ()
        assert world.hypervisor.count("end_domain") == ended

    def test_of_an_unknown_vm_stops_nothing(self, tmp_path):
        prefix, _ = make_lab(tmp_path)
        prefix.start()
        with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
            prefix.stop(["db", "wbe"])
        assert running(prefix) == {"web", "db"}

    def test_a_vm_that_is_stuck_does_not_keep_the_others(self, tmp_path):
        names = [f"vm{number:02}" for number in range(12)]
        prefix, world = make_lab(tmp_path, lab_spec(**{name: vm() for name in names}))
        prefix.start()
        world.hypervisor.fail(domain(prefix, "vm00"), STUCK, on="end")
        with pytest.raises(HypervisorError, match="refuses"):
            prefix.stop()
        assert running(prefix) == {"vm00"}
        assert nets_up(prefix) == {"lan"}

    def test_what_a_dead_libvirtd_left_in_a_private_host_ends(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.host.fail("hypervisor", DEAD)
        with pytest.raises(HostError, match="does not answer"):
            prefix.stop(["web"])
        assert "end" not in world.host.calls
        assert prefix.stop() == ("web", "db")
        assert world.host.calls[-1] == "end"
        assert "ended with all that ran in it" in world.log.warnings[0]

    @pytest.mark.parametrize("verb", ["stop", "shutdown"])
    def test_a_dead_libvirtd_of_a_shared_host_is_no_success(self, tmp_path, verb):
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        world.host.fail("hypervisor", DEAD)
        with pytest.raises(HostError, match="does not answer"):
            getattr(prefix, verb)()

    def test_a_stopped_lab_starts_again(self, tmp_path):
        prefix, _ = make_shared_lab(tmp_path)
        prefix.start()
        prefix.stop()
        report = prefix.start()
        assert (report.started, report.started_nets) == (("web", "db"), ("lan",))


class TestShutdown:
    def test_guests_power_off_and_the_rest_is_as_after_a_stop(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        assert prefix.shutdown() == ("web", "db")
        assert not world.host.is_up()
        assert not world.guests["web"].is_open

    def test_a_guest_may_take_its_time(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm(), db=vm()))
        prefix.start()
        name = domain(prefix, "web")
        world.hypervisor.ignore_shutdown(name)
        off = VMState.SHUT_OFF
        world.clock.call_later(30, lambda: world.hypervisor.set_domain_state(name, off))
        assert prefix.vms["web"].shutdown(timeout=60) is None
        assert world.clock.monotonic() == pytest.approx(30, abs=0.2)
        assert running(prefix) == {"db"}

    def test_a_guest_that_does_not_obey_runs_on_and_is_told(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.hypervisor.ignore_shutdown(domain(prefix, "web"))
        with pytest.raises(VMError, match=r"'web' did not power off within 2\.5 s") as caught:
            prefix.shutdown(timeout=2.5)
        assert caught.value.hint == "power it off at once: lagoctl stop web"
        assert world.clock.monotonic() == pytest.approx(2.5)
        assert running(prefix) == {"web"}
        assert nets_up(prefix) == {"lan"}

    def test_every_guest_is_asked_though_one_cannot_be(self, tmp_path):
        names = [f"vm{number:02}" for number in range(12)]
        prefix, world = make_lab(tmp_path, lab_spec(**{name: vm() for name in names}))
        prefix.start()
        world.hypervisor.fail(domain(prefix, "vm00"), STUCK, on="shutdown")
        with pytest.raises(HypervisorError):
            prefix.shutdown()
        assert running(prefix) == {"vm00"}

    def test_several_that_do_not_obey_come_together(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        for name in ("web", "db"):
            world.hypervisor.ignore_shutdown(domain(prefix, name))
        with pytest.raises(ExceptionGroup, match="several VMs did not shut down") as caught:
            prefix.shutdown(timeout=1)
        assert sorted(error.vm for error in caught.value.exceptions) == ["db", "web"]

    def test_no_time_at_all_is_enough_for_who_is_off_at_once(self, tmp_path):
        prefix, _ = make_lab(tmp_path)
        prefix.start()
        assert prefix.shutdown(timeout=0) == ("web", "db")

    def test_ctrl_c_ends_the_wait(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.hypervisor.ignore_shutdown(domain(prefix, "web"))
        main = threading.main_thread().ident
        world.clock.call_later(1, lambda: signal.pthread_kill(main, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            prefix.shutdown(timeout=1e5)
        assert world.clock.monotonic() < 1e5
        assert "web" in running(prefix)

    @pytest.mark.parametrize("verb", ["shutdown", "reboot", "suspend", "resume"])
    def test_a_broken_private_host_is_no_success(self, tmp_path, verb):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.host.fail("hypervisor", DEAD)
        with pytest.raises(HostError, match="does not answer"):
            getattr(prefix, verb)()

    def test_a_paused_guest_is_not_asked_and_nor_are_the_others(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        prefix.suspend("web")
        with pytest.raises(VMNotRunningError, match="'web' cannot shut down: it is paused") as told:
            prefix.shutdown()
        assert "lagoctl resume web" in told.value.hint
        assert "lagoctl stop web" in told.value.hint
        assert world.hypervisor.count("shutdown_domain") == 0

    def test_a_machine_without_acpi_is_asked_over_ssh(self, tmp_path):
        prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
        prefix.start()
        name = domain(prefix, "web")
        world.hypervisor.remove_acpi(name)
        power_off = 'if [ "$(id -u)" = 0 ]; then poweroff; else sudo -n poweroff; fi'

        def obey(call):
            world.hypervisor.end_domain(name)
            raise SSHError("the connection is gone")

        world.guests["web"].answer_with(power_off, obey)
        assert prefix.shutdown() == ("web",)
        assert world.hypervisor.count("shutdown_domain") == 0

    def test_with_reboot_it_comes_back(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        assert prefix.shutdown("web", reboot=True) == ("web",)
        assert running(prefix) == {"web", "db"}
        assert world.hypervisor.count("reboot_domain") == 1

    def test_of_what_does_not_run_asks_nobody(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        assert prefix.shutdown() == ()
        assert world.hypervisor.calls == []


class TestDestroy:
    def test_removes_everything_and_again_is_nothing(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        prefix.destroy()
        assert not prefix.path.exists()
        assert not world.host.is_up()
        calls = list(world.host.calls)
        prefix.destroy()
        assert world.host.calls == calls

    def test_on_a_shared_host_removes_domains_nets_and_leases(self, tmp_path):
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        assert world.leases.list_held(prefix.uuid) == (str(prefix.plan.nets[0].subnet),)
        prefix.destroy()
        assert world.hypervisor.list_domains(prefix.uuid) == ()
        assert world.hypervisor.list_networks(prefix.uuid) == {}
        assert world.leases.list_held(prefix.uuid) == ()
        assert "end" not in world.host.calls

    def test_leaves_the_neighbour_alone(self, tmp_path):
        prefix, world = make_shared_lab(tmp_path)
        other, _ = make_lab(tmp_path, world=world, name="other")
        for lab in (prefix, other):
            lab.start()
        prefix.destroy()
        assert running(other) == {"web", "db"}
        assert nets_up(other) == {"lan"}
        assert world.leases.list_held(other.uuid) != ()

    def test_finds_orphans_by_the_uuid(self, tmp_path):
        """A prefix without a plan, whose domains have names that nobody remembers."""
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        stray = world.hypervisor.get_domain_xml(domain(prefix, "web"))
        world.hypervisor.create_domain(stray.replace(domain(prefix, "web"), "stray"))
        (prefix.path / "plan.json").unlink()
        Prefix(PrefixLayout(prefix.path), world, uuid=prefix.uuid).destroy()
        assert world.hypervisor.list_domains(prefix.uuid) == ()
        assert world.hypervisor.list_networks(prefix.uuid) == {}
        assert not prefix.path.exists()

    def test_an_unreachable_libvirtd_of_a_shared_host_keeps_everything(self, tmp_path):
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        before = sorted(prefix.path.rglob("*"))
        world.host.fail("hypervisor", DEAD)
        with pytest.raises(HostError, match="does not answer"):
            prefix.destroy()
        assert sorted(prefix.path.rglob("*")) == before
        assert world.leases.list_held(prefix.uuid) != ()
        world.host.fail("hypervisor", None)
        assert running(prefix) == {"web", "db"}
        prefix.destroy()
        assert not prefix.path.exists()

    def test_a_domain_that_is_stuck_keeps_the_prefix_but_not_the_others(self, tmp_path):
        prefix, world = make_shared_lab(tmp_path)
        prefix.start()
        world.hypervisor.fail(domain(prefix, "db"), STUCK, on="remove")
        with pytest.raises(HypervisorError):
            prefix.destroy()
        assert running(prefix) == {"db"}
        assert prefix.path.exists()
        world.hypervisor.fail(domain(prefix, "db"), None, on="remove")
        prefix.destroy()
        assert not prefix.path.exists()

    def test_a_host_that_does_not_end_keeps_the_files(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        prefix.start()
        world.host.fail("end", HostError("a process does not go away"))
        with pytest.raises(HostError):
            prefix.destroy()
        assert (prefix.path / "uuid").exists()

    @pytest.mark.parametrize("fatal", ["images", "default"])
    def test_cut_off_in_the_middle_it_can_be_done_again(self, tmp_path, fatal):
        """What is left has a uuid and a record, or is nothing that anybody minds."""
        prefix, world = make_lab(tmp_path)
        killed = KilledFiles(fatal)
        layout = PrefixLayout(prefix.path)
        with pytest.raises(Killed):
            destroy_prefix(prefix.uuid, layout=layout, world=attrs.evolve(world, files=killed))
        assert layout.metadata.exists()
        assert layout.uuid.exists() == (fatal == "images")
        if layout.uuid.exists():
            assert PrefixStore(layout, world.files).get_record().host == "private"
            prefix.destroy()
            assert not layout.path.exists()
        else:
            again, _ = make_lab(tmp_path)
            again.destroy()

    def test_a_file_that_cannot_be_removed_is_one_sentence(self, tmp_path, monkeypatch):
        prefix, _ = make_lab(tmp_path)

        def refuse(path, missing_ok=False):
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.unlink", refuse)
            with pytest.raises(LagoError, match=r"cannot remove .*Permission denied"):
                destroy_prefix(prefix.uuid, layout=PrefixLayout(prefix.path), world=make_world())
        prefix.destroy()


class Killed(BaseException):
    """The process ends here."""


class KilledFiles(FakeFiles):
    """Ends the process when the directory called *fatal* is to be removed."""

    def __init__(self, fatal):
        super().__init__()
        self.fatal = fatal

    def remove_tree(self, path):
        if path.name == self.fatal:
            raise Killed
        super().remove_tree(path)


def test_a_net_that_was_never_up_is_no_trouble(tmp_path):
    spec = lab_spec(web=vm("lan"))
    spec["nets"]["spare"] = {"type": "isolated"}
    prefix, world = make_shared_lab(tmp_path, spec)
    prefix.start(["web"])
    assert prefix.nets["spare"].state is NetState.DOWN
    prefix.stop()
    assert ("remove_network", network(prefix, "spare")) not in world.hypervisor.calls
