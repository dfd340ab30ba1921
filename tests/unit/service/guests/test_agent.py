"""The guest agent, on a fake that keeps to its protocol."""

from datetime import UTC, datetime

import pytest
from fake_labs import domain, make_lab

from lago_sdk import (
    AgentError,
    AgentState,
    CommandTimeoutError,
    LagoError,
    Road,
    VMNotRunningError,
)
from lago_sdk.ports.agent import AgentRefusedError, AgentSilentError
from lago_sdk.testing import FakeAgent


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


@pytest.fixture
def web(lab):
    return lab[0].vms["web"]


@pytest.fixture
def fake(lab):
    prefix, world = lab
    return world.hypervisor.put_agent(domain(prefix, "web"), FakeAgent())


def test_code_and_outputs_come_back_and_nothing_is_left(web, fake):
    fake.answer("make", code=2, out="grüß\n", err="no\n")
    result = web.agent.run("make")
    assert (result.code, result.out, result.err, result.via) == (2, "grüß\n", "no\n", Road.AGENT)
    assert fake.files == {}


def test_a_list_is_quoted_and_variables_and_input_go_in(web, fake):
    web.agent.run(["echo", "a  b"], input="data", env={"A": "it's"})
    (call,) = fake.calls
    assert (call.command, call.input, call.env) == ("echo 'a  b'", b"data", {"A": "it's"})


def test_large_input_and_output_go_by_files(web, fake):
    fake.answer("cat", out="x" * 3_000_000)
    assert web.agent.run("cat", input=b"y" * 200_000).out == "x" * 3_000_000
    assert fake.calls[-1].input == b"y" * 200_000
    assert fake.files == {}


def test_a_command_that_hangs_is_told_with_its_output_so_far(web, fake):
    fake.hang_at("sleep 9")
    with pytest.raises(CommandTimeoutError, match="did not end within 3 s") as caught:
        web.agent.run("sleep 9", timeout=3)
    assert caught.value.err == "not found\n"


def test_what_cannot_be_a_variable_is_told(web, fake):
    with pytest.raises(LagoError, match="'a b' cannot be set"):
        web.agent.run("true", env={"a b": "x"})


def test_files_are_written_and_read(web, fake):
    data = bytes(range(256)) * 1000
    web.agent.write_file("/root/x y", data, mode=0o600)
    assert fake.files == {"/root/x y": data}
    assert web.agent.read_file("/root/x y") == data
    with pytest.raises(AgentError, match="web: the guest agent refuses: failed to open"):
        web.agent.read_file("/none")


def test_what_the_guest_tells(web, fake):
    fake.replies["guest-get-osinfo"] = {"id": "debian", "version-id": "12", "machine": "x86_64"}
    address = {"ip-address": "192.0.2.7", "prefix": 24, "ip-address-type": "ipv4"}
    fake.replies["guest-network-get-interfaces"] = [
        {"name": "lo"},
        {"name": "eth0", "hardware-address": "54:52:00:00:00:01", "ip-addresses": [address]},
    ]
    found = web.agent.os_info()
    assert (found.id, found.version_id, found.kernel) == ("debian", "12", "")
    loopback, nic = web.agent.interfaces()
    assert (loopback.mac, loopback.addresses) == (None, ())
    assert (nic.mac, [str(a) for a in nic.addresses]) == ("54:52:00:00:00:01", ["192.0.2.7/24"])


def test_file_systems_are_thawed_in_any_case(web, fake):
    def fail():
        with web.agent.frozen() as count:
            assert (count, fake.frozen) == (1, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert fake.frozen == 0
    assert web.agent.freeze() == web.agent.thaw() == 1


def test_a_thaw_that_fails_is_tried_again(web, fake, lab):
    world = lab[1]

    def forget():
        fake.error = None

    with web.agent.frozen():
        fake.error = AgentSilentError("slow")
        world.clock.call_later(1.5, forget)
    assert fake.frozen == 0


def test_the_clock_is_set(web, fake):
    web.agent.set_time(datetime(2030, 1, 1, tzinfo=UTC))
    web.agent.set_time()


@pytest.mark.parametrize("message", ["hwclock failed to set hardware clock to system time", "no"])
def test_a_guest_without_hwclock_has_its_clock_set_all_the_same(web, fake, message):
    fake.error = AgentRefusedError(message)
    if message == "no":
        with pytest.raises(AgentError, match="refuses: no"):
            web.agent.set_time()
    else:
        web.agent.set_time()


def test_a_guest_is_shut_down_by_its_agent(web, fake, lab):
    web.agent.shutdown(reboot=True)
    assert web.state.is_active
    web.agent.shutdown()
    assert not web.state.is_active


def test_a_guest_without_agent_is_told(web):
    assert web.agent.state is AgentState.DISCONNECTED
    assert not web.agent.is_alive()
    with pytest.raises(AgentError, match="nobody in the guest has opened its port") as caught:
        web.agent.run("true")
    assert "qemu-guest-agent" in caught.value.hint


def test_an_agent_that_hangs_is_told(web, fake):
    fake.error = AgentSilentError("Guest agent not available for now")
    assert web.agent.state is AgentState.CONNECTED
    with pytest.raises(AgentError, match="is there and does not answer: Guest agent not"):
        web.agent.ping()


def test_what_the_agent_may_not_do_is_told(web, fake):
    fake.error = AgentRefusedError("Command guest-exec has been disabled for this instance")
    with pytest.raises(AgentError, match="has been disabled") as caught:
        web.agent.run("true")
    assert "forbid" in caught.value.hint


def test_a_vm_that_is_off_has_no_agent(web, fake, lab):
    prefix, _ = lab
    prefix.stop(["web"])
    with pytest.raises(VMNotRunningError, match="lagoctl start web"):
        web.agent.run("true")
    assert not web.agent.is_alive()
    prefix.stop()
    with pytest.raises(VMNotRunningError):
        web.agent.ping()
