"""Rebooting: who is asked, when it is done, and what does not count as done."""

import attrs
import pytest
from fake_labs import domain, lab_spec, make_lab, running, vm

from lago_sdk.errors import SSHError, VMError, VMNotFoundError, VMNotRunningError, WaitTimeoutError
from lago_sdk.plan.facts import Accel
from lago_sdk.state import VMState
from lago_sdk.testing import FakeGuest, FakeHost, make_world


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


def list_stages(world):
    return [stage for stage in world.log.stages if stage[0] in {"reboot", "reset", "wait for ssh"}]


def test_guests_go_down_and_are_waited_for_on_the_new_system(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    prefix.start()
    assert prefix.reboot() == ("web",)
    assert list_stages(world)[-2:] == [("reboot", "web"), ("wait for ssh", "web")]
    assert running(prefix) == {"web"}


def test_the_old_system_cannot_answer_for_the_new_one(lab):
    """Connections are closed once the machine was reset, and before ssh is waited for."""
    prefix, world = lab
    web = world.guests["web"]
    states = []
    web.boot_with(lambda _give_up: states.append(web.is_open) or 1.0)
    world.hypervisor.ignore_shutdown(domain(prefix, "web"))

    def go_down():
        web.run("somebody asks the old system meanwhile")
        world.hypervisor.reboot_guest(domain(prefix, "web"))

    world.clock.call_later(20, go_down)
    prefix.vms["web"].reboot()
    assert world.clock.monotonic() == pytest.approx(20, abs=0.2)
    assert states == [False]


def test_a_guest_that_does_not_obey_runs_on_and_is_told(lab):
    prefix, world = lab
    world.hypervisor.ignore_shutdown(domain(prefix, "web"))
    with pytest.raises(VMError, match=r"'web' did not reboot within 3 s; it runs on") as caught:
        prefix.reboot(timeout=3)
    assert caught.value.hint == "press its reset button: lagoctl reboot --force web"
    assert running(prefix) == {"web", "db"}
    assert prefix.reboot("web", force=True) == ("web",)


def test_a_guest_that_goes_off_instead_is_told(lab):
    prefix, world = lab
    name = domain(prefix, "web")
    world.hypervisor.ignore_shutdown(name)
    world.clock.call_later(2, lambda: world.hypervisor.end_domain(name))
    with pytest.raises(VMError, match="powered off and did not come back") as caught:
        prefix.reboot("web")
    assert caught.value.hint == "start it: lagoctl start web"


def test_a_guest_that_does_not_come_back_is_told(lab):
    prefix, world = lab

    def boot(_give_up):
        raise WaitTimeoutError("no answer", stage="no route")

    world.guests["web"].boot_with(boot)
    with pytest.raises(WaitTimeoutError, match="no answer"):
        prefix.reboot("web")


def test_who_does_not_wait_has_seen_it_go_down(lab):
    prefix, world = lab
    name = domain(prefix, "web")
    world.hypervisor.ignore_shutdown(name)
    world.guests["web"].boot_with(lambda _give_up: pytest.fail("it was waited for"))
    world.clock.call_later(5, lambda: world.hypervisor.reboot_guest(name))
    assert prefix.reboot("web", wait=False) == ("web",)
    assert world.clock.monotonic() == pytest.approx(5, abs=0.2)
    assert not world.guests["web"].is_open


def test_of_all_is_about_those_that_run(lab):
    prefix, _ = lab
    prefix.stop("web")
    assert prefix.reboot() == ("db",)
    prefix.stop()
    assert prefix.reboot() == ()


def test_of_a_named_vm_that_is_off_asks_nobody(lab):
    prefix, world = lab
    prefix.stop("web")
    with pytest.raises(VMNotRunningError, match="'web' is not running: it is shut off") as caught:
        prefix.reboot(["web", "db"])
    assert caught.value.hint == "start it: lagoctl start web"
    assert world.hypervisor.count("reboot_domain") == 0
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        prefix.reboot(["wbe"])


def test_a_paused_vm_cannot_obey_and_can_be_reset(lab):
    prefix, world = lab
    prefix.suspend("web")
    with pytest.raises(VMNotRunningError, match="'web' cannot reboot: it is paused") as caught:
        prefix.reboot()
    assert "lagoctl reboot --force web" in caught.value.hint
    assert world.hypervisor.count("reboot_domain") == 0
    prefix.vms["web"].reset()
    assert prefix.vms["web"].state is VMState.RUNNING


def test_a_machine_without_acpi_is_asked_over_ssh(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    prefix.start()
    name = domain(prefix, "web")
    world.hypervisor.remove_acpi(name)

    def obey(_call):
        world.hypervisor.reboot_guest(name)
        raise SSHError("the connection is gone")

    wish = 'if [ "$(id -u)" = 0 ]; then reboot; else sudo -n reboot; fi'
    world.guests["web"].answer_with(wish, obey)
    assert prefix.reboot() == ("web",)
    assert world.hypervisor.count("reboot_domain") == 0


def test_somebody_elses_machine_is_left_alone(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(), far=vm(**{"vm-provider": "ssh"})))
    prefix.start("web")
    assert prefix.reboot() == ("web",)
    for verb in (prefix.reboot, prefix.suspend, prefix.resume):
        with pytest.raises(VMError, match="somebody else runs it"):
            verb("far")


def test_a_vm_that_nobody_prepared_is_not_waited_for(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm(bootstrap=False)))
    world = attrs.evolve(world, open_guest=lambda _target: FakeGuest())
    prefix.start()
    assert prefix.reboot() == ("web",)


class TestUnderEmulation:
    """Machines are switched off and on: QEMU would be slow after a reset."""

    @pytest.fixture
    def lab(self, tmp_path):
        prefix, world = make_lab(tmp_path, world=make_world(host=FakeHost(accel=Accel.TCG)))
        prefix.start()
        return prefix, world

    def test_a_guest_powers_off_and_starts_anew(self, lab):
        prefix, world = lab
        name = domain(prefix, "web")
        assert prefix.reboot("web") == ("web",)
        done = [method for method, of in world.hypervisor.calls if of == name]
        assert [x for x in done if x in {"shutdown_domain", "create_domain", "end_domain"}] == [
            "create_domain",
            "shutdown_domain",
            "create_domain",
        ]
        assert world.hypervisor.count("reboot_domain") == 0
        assert running(prefix) == {"web", "db"}

    def test_what_was_plugged_in_is_there_again(self, lab):
        prefix, world = lab
        disk = prefix.vms["web"].attach_disk({"type": "empty", "name": "data", "size": "1M"})
        prefix.reboot("web")
        assert disk.dev in world.hypervisor.list_disk_devs(domain(prefix, "web"))

    def test_a_guest_may_take_its_time_and_runs_on_when_that_is_up(self, lab):
        prefix, world = lab
        name = domain(prefix, "web")
        world.hypervisor.ignore_shutdown(name)
        with pytest.raises(VMError, match=r"'web' did not reboot within 3 s; it runs on"):
            prefix.reboot("web", timeout=3)
        assert running(prefix) == {"web", "db"}
        off = VMState.SHUT_OFF
        world.clock.call_later(20, lambda: world.hypervisor.set_domain_state(name, off))
        assert prefix.reboot("web") == ("web",)
        assert world.hypervisor.count("create_domain") == 3

    def test_force_asks_nobody(self, lab):
        prefix, world = lab
        prefix.suspend("web")
        prefix.vms["web"].reset()
        assert world.hypervisor.count("shutdown_domain") == 0
        assert world.hypervisor.count("end_domain") == 1
        assert prefix.vms["web"].state is VMState.RUNNING
