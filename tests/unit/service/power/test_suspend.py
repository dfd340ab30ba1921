"""Suspending and resuming: idempotent, and no success that lasts only a moment."""

import pytest
from fake_labs import domain, make_lab, states

from lago_sdk.errors import HypervisorError, VMError, VMNotFoundError, VMNotRunningError
from lago_sdk.state import VMState
from lago_sdk.testing import Call


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


def test_all_vms_pause_and_run_on(lab):
    prefix, _ = lab
    assert prefix.suspend() == ("web", "db")
    assert set(states(prefix).values()) == {VMState.PAUSED}
    assert prefix.suspend() == ()
    assert prefix.resume() == ("web", "db")
    assert set(states(prefix).values()) == {VMState.RUNNING}
    assert prefix.resume() == ()


def test_named_ones_only(lab):
    prefix, _ = lab
    prefix.vms["web"].suspend()
    assert states(prefix) == {"web": VMState.PAUSED, "db": VMState.RUNNING}
    assert prefix.suspend(["web", "db"]) == ("db",)
    prefix.vms["web"].resume()
    assert prefix.resume(["web", "db"]) == ("db",)


def test_whoever_paused_it_and_however_it_sleeps_it_runs_on(lab):
    prefix, world = lab
    world.hypervisor.set_domain_state(domain(prefix, "web"), VMState.PAUSED, "input/output error")
    world.hypervisor.set_domain_state(domain(prefix, "db"), VMState.SUSPENDED)
    assert prefix.resume() == ("web", "db")


def test_a_vm_whose_disk_still_cannot_be_written_is_no_success(lab):
    prefix, world = lab
    name = domain(prefix, "web")

    def fail_again():
        world.hypervisor.set_domain_state(name, VMState.PAUSED, "input/output error")

    fail_again()
    world.clock.call_later(0.2, fail_again)
    with pytest.raises(VMError, match="paused again at once") as caught:
        prefix.resume("web")
    assert "free some space" in caught.value.hint


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_named_vm_that_is_off_is_told_and_nothing_is_done(lab, verb):
    prefix, world = lab
    prefix.stop("web")
    with pytest.raises(VMNotRunningError, match="'web' is not running"):
        getattr(prefix, verb)(["web", "db"])
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        getattr(prefix, verb)(["wbe"])
    assert world.hypervisor.count(f"{verb}_domain") == 0


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_one_that_cannot_does_not_keep_the_others(lab, verb):
    prefix, world = lab
    if verb == "resume":
        prefix.suspend()
    world.hypervisor.fail(domain(prefix, "web"), HypervisorError("stuck"), on=verb)
    with pytest.raises(HypervisorError, match="stuck"):
        getattr(prefix, verb)()
    wanted = VMState.PAUSED if verb == "suspend" else VMState.RUNNING
    assert states(prefix)["db"] is wanted


def test_a_paused_vm_is_told_at_once_although_there_is_a_connection(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    web.ssh("true")
    web.suspend()
    asked = len(world.guests["web"].calls)
    with pytest.raises(VMNotRunningError, match=r"it is paused \(by user\)") as caught:
        web.ssh("hostname")
    assert caught.value.hint == "resume it: lagoctl resume web"
    assert len(world.guests["web"].calls) == asked
    web.resume()
    web.ssh("hostname")
    assert world.guests["web"].calls[-1] == Call(command="hostname")


def test_a_wait_for_what_was_paused_ends_at_once(tmp_path):
    prefix, world = make_lab(tmp_path)

    def boot(give_up):
        state = (VMState.PAUSED, "input/output error")
        world.hypervisor.set_domain_state(domain(prefix, "web"), *state)
        give_up()
        pytest.fail("the wait was not given up")

    world.guests["web"].boot_with(boot)
    with pytest.raises(VMNotRunningError, match="input/output error"):
        prefix.start("web")
