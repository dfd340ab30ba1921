"""The choice between ssh, the guest agent and the console."""

import pytest
from fake_labs import domain, make_lab

from lago_sdk import (
    LagoError,
    Road,
    SSHError,
    VMError,
    VMNotRunningError,
)
from lago_sdk.testing import FakeAgent, FakeConsole


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


@pytest.fixture
def web(lab):
    return lab[0].vms["web"]


def put_agent(lab):
    prefix, world = lab
    return world.hypervisor.put_agent(domain(prefix, "web"), FakeAgent())


def cut_network(lab):
    lab[1].guests["web"].login_error = SSHError("web: no route or no answer")


def test_ssh_comes_first(lab, web):
    put_agent(lab)
    lab[1].guests["web"].answer("hostname", out="web\n")
    result = web.run("hostname")
    assert (result.out, result.via) == ("web\n", Road.SSH)


def test_without_network_the_agent_is_asked(lab, web):
    put_agent(lab).answer("echo 'a  b'", out="a  b\n")
    cut_network(lab)
    result = web.run(["echo", "a  b"])
    assert (result.out, result.via) == ("a  b\n", Road.AGENT)


def test_a_road_may_be_named(lab, web):
    put_agent(lab).answer("true")
    lab[1].guests["web"].answer("true")
    assert web.run("true", via="agent").via is Road.AGENT
    assert web.run("true", via=Road.SSH).via is Road.SSH
    with pytest.raises(LagoError, match="no road is called 'radio'") as caught:
        web.run("true", via="radio")
    assert caught.value.hint == "there are: auto, ssh, agent, console"


def test_where_no_road_is_open_all_obstacles_are_told(lab, web):
    prefix, world = lab
    cut_network(lab)
    world.hypervisor.put_console(domain(prefix, "web"), FakeConsole(clock=world.clock))
    with pytest.raises(VMError) as caught:
        web.run("true")
    message = caught.value.message
    for part in ("ssh: web: no route", "agent: web: no guest agent", "console: nobody obeys"):
        assert part in message


def test_a_command_that_fails_is_not_run_again_elsewhere(lab, web):
    fake = put_agent(lab)
    lab[1].guests["web"].answer("false", code=1)
    assert web.run("false").code == 1
    assert fake.calls == []


def test_a_vm_that_is_off_has_no_road(lab, web):
    lab[0].stop(["web"])
    with pytest.raises(VMNotRunningError):
        web.run("true")
