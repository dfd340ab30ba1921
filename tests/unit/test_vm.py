"""The handle of a VM, on fakes."""

import pytest
from fake_labs import LAN, domain, lab_spec, make_lab, running, vm

from lago_sdk import VMNotFoundError, VMNotRunningError, VMState
from lago_sdk.errors import VMError
from lago_sdk.service.guests.scripts import list_script_command
from lago_sdk.testing import Call


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path)
    prefix.start()
    return prefix, world


def last_call(world, name="web"):
    return world.guests[name].calls[-1]


def test_an_unknown_name_is_explained(lab):
    prefix, _ = lab
    assert list(prefix.vms) == ["web", "db"]
    assert "wbe" not in prefix.vms
    assert prefix.vms.get("wbe") is None
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        prefix.vms["wbe"]


def test_ips_are_in_the_order_of_the_nics_and_ip_is_the_management_nets(tmp_path):
    spec = lab_spec(
        web=vm(nics=[{"net": "back", "ip": "10.9.0.7"}, {"net": "lan"}, {"net": "wire"}])
    )
    spec["nets"]["back"] = {"type": "isolated", "subnet": "10.9.0.0/24", "gw": "10.9.0.1"}
    spec["nets"]["wire"] = {"type": "isolated", "subnet": "none", "subnet6": "fd00:7::/64"}
    prefix, _ = make_lab(tmp_path, spec)
    web = prefix.vms["web"]
    nics = prefix.plan.get_vm("web").nics
    planned = [address for nic in nics for address in (nic.ip, nic.ip6) if address is not None]
    assert web.ips == tuple(str(address) for address in planned)
    assert (web.ips[0], web.ips[-1]) == ("10.9.0.7", "fd00:7::2")
    assert web.ip == str(nics[1].ip)
    assert repr(web) == f"<VM web {web.ip}>"
    assert web.nics == nics


def test_what_is_told_comes_from_spec_and_plan(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm(groups=["front"], distro="debian12")))
    web = prefix.vms["web"]
    assert (web.name, web.groups, web.distro) == ("web", ("front",), "debian12")
    assert web.iscsi_name == "iqn.2014-07.org.lago:web"
    assert web.plan.spec is web.spec
    assert web.console_log.is_relative_to(prefix.path)


def test_a_list_is_quoted_and_text_is_for_the_shell(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    web.ssh(["echo", "a  b", "$HOME", "'", ""])
    assert last_call(world).command == """echo 'a  b' '$HOME' ''"'"'' ''"""
    web.ssh("echo $HOME | wc")
    assert last_call(world).command == "echo $HOME | wc"


@pytest.mark.parametrize(
    ("given", "sent"), [("grüß", "grüß".encode()), (b"\0", b"\0"), (None, None)]
)
def test_input_timeout_and_variables_reach_the_guest(lab, given, sent):
    prefix, world = lab
    prefix.vms["web"].ssh("wc", input=given, timeout=3, env={"A": "1"})
    assert last_call(world) == Call(command="wc", input=sent, timeout=3, env={"A": "1"})


def test_the_answer_is_a_result(lab):
    prefix, world = lab
    world.guests["web"].answer("false", code=1, err="no")
    result = prefix.vms["web"].ssh("false")
    assert (result.code, result.err) == (1, "no")


@pytest.mark.parametrize(
    ("first", "reader"),
    [
        ("#!/bin/sh", ["/bin/sh", "-s", "--"]),
        ("#! /bin/bash -eu", ["/bin/bash", "-eu", "-s", "--"]),
        ("#!/usr/bin/env bash", ["/usr/bin/env", "bash", "-s", "--"]),
        ("#!/usr/bin/env -S bash -eu", ["/usr/bin/env", "-S", "bash", "-eu", "-s", "--"]),
        ("#!/usr/bin/env -S A=1 bash", ["/usr/bin/env", "-S", "A=1", "bash", "-s", "--"]),
        ("#!/bin/busybox sh", ["/bin/busybox", "sh", "-s", "--"]),
        ("#!/usr/bin/python3", ["/usr/bin/python3", "-"]),
        ("#!/usr/bin/env -S python3 -u", ["/usr/bin/env", "-S", "python3", "-u", "-"]),
        ("#!/usr/bin/awk -f", ["/usr/bin/awk", "-f", "-"]),
        ("#!/bin/sh\r", ["/bin/sh", "-s", "--"]),
        ("#!/bin/sh '", ["/bin/sh", "'", "-s", "--"]),
        ("#!/usr/bin/env", ["/usr/bin/env", "-"]),
        ("#!", ["sh", "-s", "--"]),
        ("#!  ", ["sh", "-s", "--"]),
        ("", ["sh", "-s", "--"]),
        ("echo plain", ["sh", "-s", "--"]),
        ("\ufeff#!/bin/bash", ["sh", "-s", "--"]),
    ],
)
def test_a_script_is_read_by_its_interpreter(first, reader):
    assert list_script_command(f"{first}\necho\n".encode()) == reader


def test_a_binary_script_does_not_break():
    assert list_script_command(b"\x7fELF\xff\xfe") == ["sh", "-s", "--"]


def test_a_script_is_sent_whole_with_its_arguments(lab, tmp_path):
    prefix, world = lab
    script = tmp_path / "greet"
    script.write_bytes(b"#!/bin/sh\necho $1\xff")
    prefix.vms["web"].ssh_script(script, "you too", "-x", timeout=5, env={"A": "1"})
    assert last_call(world) == Call(
        command="/bin/sh -s -- 'you too' -x",
        input=b"#!/bin/sh\necho $1\xff",
        timeout=5,
        env={"A": "1"},
    )


def test_a_script_that_is_not_there_is_an_error_before_anything_is_asked(lab, tmp_path):
    prefix, world = lab
    with pytest.raises(FileNotFoundError):
        prefix.vms["web"].ssh_script(tmp_path / "nothing")
    assert world.guests["web"].calls == []


def test_the_state_is_that_of_now(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    assert web.state is VMState.RUNNING
    world.hypervisor.set_domain_state(domain(prefix, "web"), VMState.PAUSED)
    assert web.state is VMState.PAUSED
    web.stop()
    assert not web.state.is_active
    prefix.stop()
    assert web.state is VMState.DOWN


def test_verbs_are_about_this_vm_only(lab):
    prefix, _ = lab
    web = prefix.vms["web"]
    web.stop()
    assert running(prefix) == {"db"}
    web.start()
    web.shutdown(timeout=1)
    assert running(prefix) == {"db"}


@pytest.mark.parametrize(
    "use",
    [
        lambda web: web.ssh("true"),
        lambda web: web.interactive_ssh(),
        lambda web: web.wait_for.ssh(),
        lambda web: web.wait_for.port(80),
        lambda web: web.wait_for.console("login:"),
    ],
)
def test_a_vm_that_does_not_run_is_told_at_once(lab, use):
    prefix, _ = lab
    web = prefix.vms["web"]
    web.stop()
    with pytest.raises(VMNotRunningError, match="it is shut off") as caught:
        use(web)
    assert caught.value.hint == "start it: lagoctl start web"


def test_waiting_for_ssh_tells_the_seconds(lab):
    prefix, world = lab
    world.guests["web"].login_seconds = 1.5
    assert prefix.vms["web"].wait_for.ssh() == 1.5


def test_a_terminal_is_attached(lab):
    prefix, world = lab
    world.guests["web"].answer("vi", code=4)
    assert prefix.vms["web"].interactive_ssh() == 0
    assert prefix.vms["web"].interactive_ssh("vi") == 4
    assert world.guests["web"].interactions == [None, "vi"]


def test_a_vm_without_address_says_so(tmp_path):
    spec = {"domains": {"mute": vm(nics=[])}, "nets": {"lan": LAN}}
    prefix, _ = make_lab(tmp_path, spec)
    mute = prefix.vms["mute"]
    prefix.start()
    assert (mute.ip, mute.ips, repr(mute)) == (None, (), "<VM mute without address>")
    with pytest.raises(VMError, match="has no address") as caught:
        mute.ssh("true")
    assert "console" in caught.value.hint
