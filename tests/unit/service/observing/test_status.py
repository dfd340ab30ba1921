"""Status: what is told, with how few questions, and what when nobody answers."""

import pytest
from fake_labs import domain, lab_spec, make_lab, vm

from lago_sdk.errors import HostError, HypervisorError
from lago_sdk.ports import HostKind
from lago_sdk.service.observing.status import observe
from lago_sdk.state import NetState, VMState
from lago_sdk.testing import FakeHost, make_world

DEAD = HostError("libvirtd does not answer", hint="start it")


def test_a_hundred_vms_are_two_questions(tmp_path):
    names = [f"vm{number:03}" for number in range(100)]
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
    prefix, _ = make_lab(tmp_path, lab_spec(**{name: vm() for name in names}), world=world)
    world.hypervisor.calls.clear()
    status = prefix.status()
    assert len(status.vms) == 100
    assert world.hypervisor.calls == [
        ("list_domains", prefix.uuid),
        ("list_networks", prefix.uuid),
    ]


def test_states_and_reasons_are_those_of_now(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    world.hypervisor.set_domain_state(domain(prefix, "web"), VMState.CRASHED, "panicked")
    web, db = prefix.status().vms
    assert (web.name, web.state, web.reason) == ("web", VMState.CRASHED, "panicked")
    assert (db.state, db.reason) == (VMState.RUNNING, "booted")


def test_addresses_and_nets_are_those_of_the_plan(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm("lan", "back")))
    prefix.start()
    status = prefix.status()
    (web,) = status.vms
    plan = prefix.plan.get_vm("web")
    assert web.ip == str(plan.management_nic.ip)
    assert [(nic.name, nic.net, nic.mac) for nic in web.nics] == [
        ("eth0", "lan", plan.nics[0].mac),
        ("eth1", "back", plan.nics[1].mac),
    ]
    found = {net.name: net for net in status.nets}
    assert found["lan"].management
    assert found["lan"].state is NetState.UP
    assert found["lan"].subnet == str(prefix.plan.get_net("lan").subnet)
    assert (status.path, status.name, status.host) == (str(prefix.path), "default", "private")
    assert status.is_complete


def test_a_private_host_that_is_not_up_is_not_asked(tmp_path):
    prefix, world = make_lab(tmp_path)
    status = prefix.status()
    assert {vm.state for vm in status.vms} == {VMState.DOWN}
    assert {net.state for net in status.nets} == {NetState.DOWN}
    assert world.host.calls == []


@pytest.mark.parametrize("error", [DEAD, HypervisorError("broken pipe")])
def test_states_are_unknown_when_the_libvirtd_of_a_shared_host_is_dead(tmp_path, error):
    prefix, world = make_lab(tmp_path, world=make_world(host=FakeHost(kind=HostKind.SYSTEM)))
    prefix.start()
    world.host.fail("hypervisor", error)
    status = prefix.status()
    assert {vm.state for vm in status.vms} == {VMState.UNKNOWN}
    assert {net.state for net in status.nets} == {NetState.UNKNOWN}
    assert status.vms[0].ip is not None
    assert status.problem == status.vms[0].reason == error.message
    assert status.hint == (error.hint or "")
    with pytest.raises(type(error)):
        observe(prefix.plan, world.host)


def test_states_are_unknown_on_a_private_host_that_is_broken(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    world.host.fail("hypervisor", DEAD)
    status = prefix.status()
    assert {vm.state for vm in status.vms} == {VMState.UNKNOWN}
    assert (status.problem, status.hint) == (DEAD.message, "start it")
    with pytest.raises(HostError):
        prefix.vms["web"].state  # noqa: B018 - looking is the test
    prefix.stop()
    assert prefix.status().problem == ""
    assert {vm.state for vm in prefix.status().vms} == {VMState.DOWN}


@pytest.mark.parametrize(
    ("state", "reason", "hint"),
    [
        (VMState.PAUSED, "by user", "lagoctl resume web"),
        (VMState.PAUSED, "input/output error", "free some space"),
        (VMState.PAUSED, "watchdog", "lagoctl reboot --force web"),
        (VMState.SUSPENDED, "", "wake it: lagoctl resume web"),
        (VMState.CRASHED, "panicked", "lagoctl start web"),
        (VMState.RUNNING, "booted", None),
        (VMState.SHUT_OFF, "destroyed", None),
        (VMState.DOWN, "", None),
    ],
)
def test_a_vm_that_stands_still_comes_with_what_to_do(tmp_path, state, reason, hint):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    prefix.start()
    world.hypervisor.set_domain_state(domain(prefix, "web"), state, reason)
    (web,) = prefix.status().vms
    assert (web.state, web.reason) == (state, reason)
    assert hint in web.hint if hint else web.hint == ""


def test_others_domains_are_not_ours(tmp_path):
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM))
    prefix, _ = make_lab(tmp_path, world=world)
    other, _ = make_lab(tmp_path, world=world, name="other")
    other.start()
    assert {vm.state for vm in prefix.status().vms} == {VMState.DOWN}
    assert {net.state for net in prefix.status().nets} == {NetState.DOWN}
