"""One lab of two VMs, driven through its whole life by the public names."""

import subprocess
import sys
from pathlib import Path

import pytest

from lago_sdk import (
    CommandError,
    Config,
    NetState,
    Prefix,
    PrefixExistsError,
    SpecError,
    VMNotFoundError,
    VMNotRunningError,
    VMState,
    WaitTimeoutError,
)

SMALL = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}]}
ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}


def one_vm(**changes: object) -> dict[str, object]:
    vm = {**SMALL, "disks": [ROOT], **changes}
    return {"domains": {"solo": vm}, "nets": {"lan": {"dhcp": {"start": 100, "end": 254}}}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, host, tiny):
    init_file = Path(__file__).parents[2] / "examples" / "two-vms" / "LagoInitFile"
    workdir = tmp_path_factory.mktemp("lab")
    config = Config.load({"host": host})
    with Prefix.create(init_file, workdir=workdir / "w", config=config) as prefix:
        report = prefix.start()
        assert set(report.started) == {"web", "db"}
        yield prefix
    assert not (workdir / "w").exists()


def test_guests_know_their_names(lab):
    for name, vm in lab.vms.items():
        assert vm.ssh("hostname").check().out.strip() == name


def test_guests_name_and_reach_each_other(lab):
    for vm, other in (("web", "db"), ("db", "web")):
        assert "1 packets received" in lab.vms[vm].ssh(["ping", "-c1", other]).check().out
        found = lab.vms[vm].ssh(["nslookup", other]).out
        assert str(lab.vms[other].ip) in found


def test_commands_report_code_and_output(lab):
    result = lab.vms["web"].ssh("echo out; echo err >&2; exit 3")
    assert (result.code, result.out, result.err) == (3, "out\n", "err\n")
    with pytest.raises(CommandError, match="exited with 3"):
        result.check()


def test_arguments_are_quoted_and_text_is_for_the_shell(lab):
    web = lab.vms["web"]
    assert web.ssh(["echo", "a  b", "$HOME", "'"]).out == "a  b $HOME '\n"
    assert web.ssh("echo $WORD", env={"WORD": "it's  two"}).out == "it's two\n"


def test_input_goes_in_whole(lab):
    data = bytes(range(256)) * 4096
    assert lab.vms["db"].ssh("wc -c", input=data).out.strip() == str(len(data))


def test_a_script_runs_by_its_interpreter_with_arguments(lab, tmp_path):
    script = tmp_path / "greet"
    script.write_text('#!/bin/sh\necho "hello $1 and $2"\n')
    assert lab.vms["web"].ssh_script(script, "you", "me too").out == "hello you and me too\n"


def test_a_command_that_hangs_is_given_up(lab):
    with pytest.raises(WaitTimeoutError):
        lab.vms["web"].ssh("sleep 60", timeout=1)


def test_status_tells_states_and_addresses(lab):
    status = lab.status()
    assert [(vm.name, vm.state, vm.ip) for vm in status.vms] == [
        (vm.name, VMState.RUNNING, vm.ip) for vm in lab.vms.values()
    ]
    (net,) = status.nets
    assert (net.state, net.management, net.gateway) == (NetState.UP, True, lab.nets["lan"].gateway)


def test_host_keys_are_those_of_the_seeds(lab):
    pinned = dict(
        line.split(" ", 1) for line in (lab.path / "known_hosts").read_text().splitlines()
    )
    assert pinned.keys() == {"web", "db"}
    assert pinned["web"] != pinned["db"]


def test_starting_again_changes_nothing(lab):
    boot_ids = {name: boot_id(vm) for name, vm in lab.vms.items()}
    report = lab.start()
    assert not report.changed
    assert set(report.already_running) == {"web", "db"}
    assert boot_ids == {name: boot_id(vm) for name, vm in lab.vms.items()}


def test_another_process_can_use_the_lab(lab):
    code = f"""
from lago_sdk import Prefix
prefix = Prefix.open({str(lab.path.parent)!r})
print(prefix.vms["db"].ssh("hostname").check().out.strip())
prefix.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "db\n"


def test_one_vm_stops_and_starts_while_its_net_stays(lab):
    web, db = lab.vms["web"], lab.vms["db"]
    web.ssh("echo kept > /root/note; sync").check()
    assert lab.stop(["web"]) == ("web",)
    assert not web.state.is_active
    assert db.state is VMState.RUNNING
    assert lab.nets["lan"].state is NetState.UP
    with pytest.raises(VMNotRunningError, match="lagoctl start web"):
        web.ssh("true")
    report = lab.start(["web"])
    assert report.started == ("web",)
    assert web.ssh("cat /root/note").check().out == "kept\n"


def test_a_guest_shuts_down_when_asked(lab):
    db = lab.vms["db"]
    db.shutdown(timeout=60)
    assert not db.state.is_active
    db.start()
    assert db.ssh("hostname").check().out == "db\n"


def test_everything_stops_and_comes_back(lab):
    lab.stop()
    assert {vm.state.is_active for vm in lab.vms.values()} == {False}
    assert lab.nets["lan"].state is NetState.DOWN
    assert set(lab.start().started) == {"web", "db"}
    assert lab.vms["web"].ssh(["ping", "-c1", "db"]).code == 0


def test_unknown_names_are_explained(lab):
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        lab.vms["wbe"]
    with pytest.raises(VMNotFoundError, match="did you mean 'web'"):
        lab.start(["wbe"])


def test_a_taken_name_is_refused_and_the_lab_stays(lab, config):
    with pytest.raises(PrefixExistsError):
        Prefix.create(one_vm(), workdir=lab.path.parent, config=config)
    assert lab.vms["web"].ssh("true").code == 0


def test_a_spec_that_is_wrong_leaves_nothing(tmp_path, config):
    spec = one_vm(nics=[{"net": "lam"}])
    with pytest.raises(SpecError, match="did you mean 'lan'"):
        Prefix.create(spec, workdir=tmp_path / "w", config=config)
    assert not (tmp_path / "w").exists()


def test_a_failing_start_takes_back_what_it_did(make_prefix):
    spec = one_vm()
    spec["domains"]["other"] = {**SMALL, "disks": [ROOT]}
    prefix = make_prefix(spec)
    (prefix.path / "images" / "other_root.qcow2").unlink()
    with pytest.raises(Exception, match=r"other_root\.qcow2"):
        prefix.start()
    assert {vm.state.is_active for vm in prefix.vms.values()} == {False}
    assert prefix.nets["lan"].state is NetState.DOWN


def test_a_guest_that_never_answers_is_explained(make_prefix, tmp_path):
    disk = {"type": "empty", "name": "root", "dev": "vda", "size": "64M"}
    prefix = make_prefix(one_vm(disks=[disk], boot_time_sec=6))
    with pytest.raises(WaitTimeoutError) as caught:
        prefix.start()
    assert "solo" in str(caught.value)
    assert "its domain is running" in str(caught.value)


def test_static_addresses_and_further_disks(make_prefix):
    spec = one_vm(
        nics=[{"net": "lan"}, {"net": "back", "ip": "10.9.0.7"}],
        disks=[ROOT, {"type": "empty", "name": "data", "dev": "vdb", "size": "1G"}],
    )
    spec["nets"]["lan"]["management"] = True
    spec["nets"]["back"] = {"type": "isolated", "subnet": "10.9.0.0/22", "gw": "10.9.0.1"}
    prefix = make_prefix(spec)
    prefix.start()
    solo = prefix.vms["solo"]
    assert "10.9.0.7/22" in solo.ssh("ip addr").check().out
    assert solo.ssh("cat /sys/class/block/vdb/size").check().out.strip() == str(2**30 // 512)
    assert "1 packets received" in solo.ssh("ping -c1 10.9.0.1").check().out


@pytest.mark.private_only
def test_two_labs_with_the_same_addresses_do_not_meet(make_prefix, lab):
    twin = make_prefix(lab.spec, name="twin")
    twin.start()
    assert twin.vms["web"].ip == lab.vms["web"].ip
    assert boot_id(twin.vms["web"]) != boot_id(lab.vms["web"])


def boot_id(vm):
    return vm.ssh("cat /proc/sys/kernel/random/boot_id").check().out
