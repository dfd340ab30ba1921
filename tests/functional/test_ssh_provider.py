"""Machines that are there already (``vm-provider: ssh``): a real OpenSSH server, beside a VM.

The server listens on this machine's own loopback, which no network of a private host leads to.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.conftest import Lagoctl
from lago_sdk import (
    Config,
    HostKeyChangedError,
    Prefix,
    VMError,
    VMState,
    WaitTimeoutError,
)
from lago_sdk.adapters.keys import generate_host_key
from unit.adapters.ssh_servers import Server, make_sshd

pytestmark = [pytest.mark.functional, pytest.mark.root_only]


def describe_far(server: Server, **changes: object) -> dict[str, object]:
    """The init file's words for the machine that *server* is."""
    return {
        "vm-provider": "ssh",
        "ssh-host": "127.0.0.1",
        "ssh-port": server.port,
        "ssh-key": str(server.directory / "id"),
        "boot_time_sec": 20,
        **changes,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = make_sshd(tmp_path_factory.mktemp("far")).start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str, server: Server
) -> Iterator[Prefix]:
    """One VM of ours and one machine that somebody else runs."""
    script = server.directory / "deploy.sh"
    script.write_text(f"#!/bin/sh\necho deployed > {server.directory}/deployed\n")
    web = {"memory": 128, "vcpu": 1, "nics": [{"net": "lan"}]}
    web["disks"] = [{"type": "template", "name": "root", "dev": "vda", "template_name": tiny}]
    far = describe_far(
        server,
        artifacts=[f"{server.directory}/artifact"],
        metadata={"deploy-scripts": [str(script)]},
        groups=["builders"],
    )
    (server.directory / "artifact").write_text("evidence")
    spec = {"domains": {"web": web, "far": far}, "nets": {"lan": {"management": True}}}
    workdir = tmp_path_factory.mktemp("mixed") / "workdir"
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        report = prefix.start()
        assert report.started == ("web",)
        assert report.already_running == ("far",)
        yield prefix


def test_both_are_reached_each_by_its_own_way(lab: Prefix, server: Server) -> None:
    assert lab.vms["web"].ssh("hostname").check().out == "web\n"
    assert lab.vms["far"].ssh("echo $SSH_CONNECTION").out.split()[3] == str(server.port)
    assert lab.vms["far"].ip == "127.0.0.1"
    seen = {vm.name: (vm.state, vm.reason) for vm in lab.status().vms}
    assert seen["far"] == (VMState.RUNNING, f"it answers at 127.0.0.1 port {server.port}")
    assert seen["web"][0] is VMState.RUNNING


def test_what_is_done_over_ssh_works(lab: Prefix, server: Server, tmp_path: Path) -> None:
    far = lab.vms["far"]
    lab.deploy(["far"])
    assert (server.directory / "deployed").read_text() == "deployed\n"
    report = lab.collect_artifacts(tmp_path / "out", ["far"])
    assert list((tmp_path / "out" / "far").iterdir()), report
    (tmp_path / "file").write_bytes(b"\0data")
    far.copy_to(tmp_path / "file", f"{server.directory}/copied")
    assert (server.directory / "copied").read_bytes() == b"\0data"
    assert far.wait_for.port(server.port, timeout=5) < 5
    assert far.wait_for.ssh(timeout=5) < 5
    assert far.wait_for.command("true", timeout=5).code == 0
    assert far.run("echo here").out == "here\n"


def test_other_tools_reach_it(lab: Prefix, server: Server) -> None:
    command = ["ssh", "-F", str(lab.ssh_config), "far", "echo", "by", "ssh"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("by ssh\n", 0), done.stderr
    inventory = lab.ansible_inventory()
    assert f"ansible_port={server.port}" in inventory
    assert f"ansible_ssh_private_key_file={server.directory}/id" in inventory


@pytest.mark.parametrize("verb", ["stop", "shutdown", "reboot", "suspend", "resume"])
def test_it_is_not_powered_and_says_why(lab: Prefix, verb: str) -> None:
    with pytest.raises(VMError, match="'far' is left alone: somebody else runs it") as caught:
        getattr(lab, verb)(["far"])
    assert caught.value.hint == "log in to it: lagoctl shell far"
    assert lab.vms["far"].state is VMState.RUNNING


def test_it_has_neither_snapshots_nor_a_console(lab: Prefix) -> None:
    with pytest.raises(VMError, match="not on this host"):
        lab.create_snapshots("clean", ["far"])
    with pytest.raises(VMError, match="not on this host"):
        lab.vms["far"].console.run("true")


def test_its_state_is_what_is_seen(lab: Prefix, server: Server) -> None:
    server.kill()
    try:
        assert lab.vms["far"].state is VMState.UNKNOWN
        (reason,) = [vm.reason for vm in lab.status().vms if vm.name == "far"]
        assert reason == f"refused at 127.0.0.1 port {server.port}"
        with pytest.raises(WaitTimeoutError, match="not on this prefix's host") as caught:
            lab.vms["far"].wait_for.ssh(timeout=0.5)
        assert "refused" in caught.value.stage
    finally:
        server.start()
    assert lab.vms["far"].ssh("true").code == 0


def test_another_host_key_is_an_error(lab: Prefix, server: Server) -> None:
    path = server.directory / "host_key"
    before = path.read_text()
    server.kill()
    path.write_text(generate_host_key("other")[0])
    server.start()
    try:
        with pytest.raises(HostKeyChangedError, match="'far' shows another host key"):
            lab.vms["far"].ssh("true")
    finally:
        server.kill()
        path.write_text(before)
        server.start()


def test_stopping_all_leaves_it_alone(lab: Prefix) -> None:
    assert lab.stop() == ("web",)
    assert lab.vms["far"].ssh("true").code == 0
    assert not lab.vms["web"].state.is_active


@pytest.mark.private_only
def test_a_lab_of_such_machines_alone_needs_no_host(
    lagoctl: Lagoctl, server: Server, tmp_path: Path
) -> None:
    init_file = tmp_path / "lab.json"
    spec = {"domains": {"far": describe_far(server)}, "nets": {}}
    init_file.write_text(json.dumps(spec))
    lagoctl("init", str(init_file))
    assert "far" in lagoctl("start").stderr
    assert lagoctl("shell", "far", "echo", "hi").stdout == "hi\n"
    assert "running" in lagoctl("status").stdout
    refused = lagoctl("stop", "far", code=2).stderr
    assert "left alone" in refused
    assert "far (vm-provider: ssh)" in lagoctl("stop").stderr
    left = os.listdir(tmp_path / "shell" / ".lago" / "default" / "logs")  # noqa: PTH208
    assert left == [], "no libvirtd was started for it"
