"""Waits on fakes: what ends them, what they tell at the deadline, and that they look often."""

import json
import shlex
import socket

import pytest
from fake_labs import domain, lab_spec, make_lab, network, vm

from lago_sdk import (
    CommandResult,
    LagoError,
    VMError,
    VMNotRunningError,
    VMState,
    WaitTimeoutError,
)
from lago_sdk.service.guests.looks import _CLOUD_INIT

LOG = "/var/log/app.log"


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm()))
    prefix.start()
    return prefix.vms["web"], world


def later(world, seconds, action):
    world.clock.call_later(seconds, action)


def test_a_command_is_tried_until_it_succeeds(lab):
    web, world = lab
    guest = world.guests["web"]
    guest.answer("test -e /run/ready", code=1)
    later(world, 7, lambda: guest.answer("test -e /run/ready", out="yes"))
    assert web.wait_for.command("test -e /run/ready").out == "yes"
    assert 7 <= world.clock.monotonic() <= 8.1
    assert len(guest.calls) > 20


def test_the_first_looks_follow_at_once(lab):
    web, world = lab
    guest = world.guests["web"]
    guest.answer("true", code=1)
    later(world, 0.05, lambda: guest.answer("true"))
    web.wait_for.command("true")
    assert world.clock.monotonic() < 0.1


def test_the_deadline_tells_the_stage_and_the_console(lab):
    web, world = lab
    world.guests["web"].answer("nginx -t", code=2, err="first\nno such directive\n")
    web.console_log.parent.mkdir(exist_ok=True)
    web.console_log.write_text("Booting\nweb login: ")
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.command("nginx -t", timeout=5)
    error = caught.value
    assert error.message.startswith("web: success of 'nginx -t' did not happen within 5 s")
    assert "its domain is running (booted)" in error.message
    assert error.stage == "'nginx -t' exits with 2: no such directive"
    assert error.console == ("Booting", "web login:")
    assert 5 <= world.clock.monotonic() < 5.1


@pytest.mark.parametrize(("give", "told"), [(True, "it got 192"), (False, "no DHCP request")])
def test_dhcp_is_told(lab, give, told):
    web, world = lab
    nic = web.nics[0]
    name = network(web._prefix, "lan")
    if give:
        world.hypervisor.give_dhcp_lease(name, mac=nic.mac, address=str(nic.ip))
    world.guests["web"].answer("x", code=1)
    with pytest.raises(WaitTimeoutError, match=told):
        web.wait_for.command("x", timeout=1)


def test_a_vm_that_goes_off_ends_the_wait(lab):
    web, world = lab
    world.guests["web"].answer("x", code=1)
    name = domain(web._prefix, "web")
    crash = (name, VMState.SHUT_OFF, "crashed")
    later(world, 3, lambda: world.hypervisor.set_domain_state(*crash))
    with pytest.raises(VMNotRunningError, match="went off while it was waited for"):
        web.wait_for.command("x", timeout=1000)
    assert world.clock.monotonic() < 5


def test_a_paused_vm_is_not_waited_for(lab):
    web, world = lab
    world.hypervisor.set_domain_state(domain(web._prefix, "web"), VMState.PAUSED)
    with pytest.raises(VMNotRunningError, match="it is paused") as caught:
        web.wait_for.port(80)
    assert caught.value.hint == "resume it: lagoctl resume web"


def test_ports(lab):
    web, world = lab
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.port(80, timeout=1)
    assert caught.value.stage == f"{web.ip} answers, but nothing listens on port 80"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        later(world, 2, lambda: world.host.forward(web.ip, 80, to=address))
        assert 2 <= web.wait_for.port(80, timeout=10) < 2.5


def test_files_and_units(lab):
    web, world = lab
    guest = world.guests["web"]
    guest.answer("test -e '/run/a b'", code=1)
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.file("/run/a b", timeout=1)
    assert caught.value.stage == "there is no '/run/a b' in the guest"
    guest.answer("test -e '/run/a b'")
    assert web.wait_for.file("/run/a b") == 0
    guest.answer("test -d /run/systemd/system")
    show = "systemctl show --property LoadState --property ActiveState --property SubState -- nginx"
    guest.answer(show, out="LoadState=loaded\nActiveState=failed\nSubState=failed\n")
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.unit("nginx", timeout=1)
    assert caught.value.stage == "the service 'nginx' is inactive"
    assert "systemctl status nginx" in caught.value.hint
    guest.answer(show, out="LoadState=loaded\nActiveState=active\nSubState=running\n")
    web.wait_for.unit("nginx")


class Log:
    """A log of the guest that answers the commands by which it is read."""

    def __init__(self, guest):
        self.text = ""
        for offset in range(200):
            path = shlex.quote(LOG)
            command = f"wc -c < {path} && tail -c +{offset + 1} {path}"
            guest.answer_with(command, lambda call, offset=offset: self.read(call, offset))

    def read(self, call, offset):
        out = f"{len(self.text)}\n{self.text[offset:]}"
        return CommandResult(command=call.command, code=0, out=out, err="")

    def write(self, text):
        self.text = text


def test_a_log_is_read_as_it_grows_and_when_it_is_rotated(lab):
    web, world = lab
    log = Log(world.guests["web"])
    log.text = "starting\nhalf a li"
    later(world, 1, lambda: log.write("starting\nhalf a line\n"))
    later(world, 2, lambda: log.write("new\n"))
    later(world, 3, lambda: log.write("new\nready in 7 ms\n"))
    assert web.wait_for.log(LOG, r"ready in \d+ ms") == "ready in 7 ms"
    assert web.wait_for.log(LOG, "new") == "new"
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.log(LOG, "half a line", timeout=1)
    assert caught.value.stage == f"the log {LOG!r} has no line with 'half a line'"


def test_a_line_that_is_written_in_two_pieces_is_one(lab):
    web, world = lab
    log = Log(world.guests["web"])
    log.text = "rea"
    later(world, 1, lambda: log.write("ready\n"))
    assert web.wait_for.log(LOG, "^ready$") == "ready"


def test_what_is_no_pattern_is_told(lab):
    web, _ = lab
    for use in (web.wait_for.console, lambda pattern: web.wait_for.log(LOG, pattern)):
        with pytest.raises(LagoError, match="is no regular expression"):
            use("(")


def test_the_console_is_read_from_the_last_start_on(lab):
    web, _ = lab
    web.console_log.parent.mkdir(exist_ok=True)
    web.console_log.write_bytes(b"Booting\r\nweb login: ")
    assert web.wait_for.console("^web login:") == "web login: "
    web.stop()
    web.start()
    assert web.console_log.with_name("web.console.log.1").exists()
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.console("login:", timeout=1)
    assert caught.value.stage == "it has written nothing to its console"


def result(errors=()):
    return json.dumps({"v1": {"datasource": "NoCloud", "errors": list(errors)}})


@pytest.mark.parametrize(
    ("code", "out", "stage"),
    [
        (3, "", "cloud-init has not begun"),
        (3, '{"v1": {"stage": "modules-config"}}', "cloud-init is at its stage modules-config"),
        (3, '{"v1": {"sta', "cloud-init has not begun"),
    ],
)
def test_cloud_init_goes_on(lab, code, out, stage):
    web, world = lab
    world.guests["web"].answer(_CLOUD_INIT, code=code, out=out)
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.cloud_init(timeout=1)
    assert caught.value.stage == stage


@pytest.mark.parametrize(
    ("code", "out", "told"),
    [
        (4, "", "'web' has no cloud-init"),
        (5, "", "cloud-init is disabled on 'web'"),
        (0, result(["('runcmd', failed)"]), "cloud-init failed on 'web': .*runcmd"),
    ],
)
def test_cloud_init_that_cannot_end_well_is_told_at_once(lab, code, out, told):
    web, world = lab
    world.guests["web"].answer(_CLOUD_INIT, code=code, out=out)
    with pytest.raises(VMError, match=told):
        web.wait_for.cloud_init()
    assert world.clock.monotonic() == 0


def test_cloud_init_has_ended(lab):
    web, world = lab
    world.guests["web"].answer(_CLOUD_INIT, out=result())
    assert web.wait_for.cloud_init() == 0


def test_a_state_is_waited_for_after_the_vm_is_off_as_well(lab):
    web, world = lab
    off = (domain(web._prefix, "web"), VMState.SHUT_OFF, "shut down")
    later(world, 2, lambda: world.hypervisor.set_domain_state(*off))
    assert 2 <= web.wait_for.state(VMState.SHUT_OFF) < 2.5
    with pytest.raises(WaitTimeoutError) as caught:
        web.wait_for.state(VMState.RUNNING, timeout=1)
    assert caught.value.stage == "it is shut off"


def test_the_agent(lab):
    web, world = lab
    with pytest.raises(WaitTimeoutError, match="an answer of the guest agent"):
        web.wait_for.agent(timeout=1)
    world.hypervisor.put_agent(domain(web._prefix, "web"))
    web.wait_for.agent(timeout=1)
