"""The tiny template on plain QEMU: no libvirt, so what fails here is the guest or its seed."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import attrs
import pytest

from lago_sdk.adapters.keys import create_key_pair, generate_host_key
from lago_sdk.adapters.qemu_img import QemuImg
from lago_sdk.adapters.seed_iso import SeedIso
from lago_sdk.config import Config
from lago_sdk.plan.models import AddressMethod, NetPlan, NicPlan, VMPlan
from lago_sdk.render.cloud_init import render_seed
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import Bootstrap, VMSpec
from lago_sdk.templates.build import build_template
from lago_sdk.templates.store import TemplateStore

# It fetches packages, and the sandbox of the system host has no way out.
pytestmark = [pytest.mark.functional, pytest.mark.private_only, pytest.mark.timeout(180)]
BOOT_SECONDS = 90.0
MAC = "52:54:00:12:34:{:02x}"


@attrs.frozen(kw_only=True)
class Machine:
    """A QEMU process and how to reach the guest in it."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path

    def ssh(self, command: str, *options: str) -> str:
        """Run *command* in the guest; the host key must be the pinned one."""
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-i", self.directory / "id", *options]
        argv += ["-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=20"]
        argv += [f"-oUserKnownHostsFile={self.directory / 'known_hosts'}", "root@127.0.0.1"]
        return subprocess.run(
            [*argv, command], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def wait(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 2) as connection,
            ):
                connection.settimeout(2)
                if connection.recv(4) == b"SSH-":
                    return
            time.sleep(0.05)
        pytest.fail(
            "no ssh; the console says:\n" + (self.directory / "console").read_text()[-2000:]
        )

    def wait_ready(self) -> None:
        """Wait until the seed's commands have run."""
        self.ssh("while [ ! -e /run/lago-ready ]; do usleep 50000; done")

    def power_button(self) -> None:
        with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile("rw") as stream:
            monitor.connect(str(self.directory / "qmp"))
            stream.readline()
            for command in ("qmp_capabilities", "system_powerdown"):
                stream.write(json.dumps({"execute": command}) + "\n")
                stream.flush()
                stream.readline()


def seed_files(vm: VMPlan, nets: dict[str, NetPlan], directory: Path) -> dict[str, bytes]:
    public = create_key_pair(directory / "id", "test")
    private, host_public = generate_host_key("guest")
    (directory / "host.pub").write_text(host_public)
    return render_seed(
        vm,
        nets=nets,
        public_keys=[public],
        host_key_private=private,
        host_key_public=host_public,
    )


@contextlib.contextmanager
def machine(directory: Path, nics: int = 1):
    """Boot ``disk.qcow2`` with ``seed.iso``; only the first nic leads anywhere."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pinned = (directory / "host.pub").read_text()
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {pinned}\n")
    argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"]
    argv += ["-m", "128", "-nodefaults", "-display", "none", "-serial", "file:console"]
    argv += ["-qmp", "unix:qmp,server=on,wait=off"]
    argv += ["-drive", "file=disk.qcow2,if=virtio,cache=unsafe"]
    argv += ["-drive", "file=seed.iso,if=virtio,format=raw,readonly=on"]
    for index in range(nics):
        forward = "" if index else f",hostfwd=tcp:127.0.0.1:{port}-:22"
        argv += ["-netdev", f"user,id=n{index},restrict=on{forward}"]
        argv += ["-device", f"virtio-net-pci,netdev=n{index},mac={MAC.format(index)}"]
    process = subprocess.Popen(argv, cwd=directory, stdout=subprocess.DEVNULL)
    try:
        yield Machine(process=process, port=port, directory=directory)
    finally:
        process.kill()
        process.wait()


def nic_plan(index: int, net: str, method: AddressMethod, **values) -> NicPlan:
    return NicPlan(
        spec=NicSpec(net=net), index=index, net=net, mac=MAC.format(index), method=method, **values
    )


def vm_plan(nics: tuple[NicPlan, ...], **spec) -> VMPlan:
    return VMPlan(
        spec=VMSpec(name="web", **spec),
        name="web",
        domain="x-web",
        uuid="6f1d5f0e-0000-4000-8000-000000000001",
        nics=nics,
        disks=(),
        management="lan",
        bootstrap=Bootstrap.SEED,
        seed="seed.iso",
        console_log="console",
        hostname="web",
        dns_domain="lab.test",
    )


def net_plan(name: str, **values) -> NetPlan:
    return NetPlan(
        spec=NetSpec(name=name),
        name=name,
        network=name,
        bridge=name,
        bridge_mac=MAC.format(255),
        is_management=name == "lan",
        **values,
    )


@pytest.fixture(scope="session")
def image():
    store = TemplateStore(Config.load().template_store)
    return build_template("tiny", store=store).image


@pytest.fixture
def prepare(image, tmp_path):
    def make(vm: VMPlan, *nets: NetPlan) -> Path:
        QemuImg().create_overlay(tmp_path / "disk.qcow2", image)
        files = seed_files(vm, {net.name: net for net in nets}, tmp_path)
        SeedIso().create_seed(tmp_path / "seed.iso", files)
        return tmp_path

    return make


def test_seeded_guest_answers_ssh_survives_a_boot_and_obeys_the_power_button(prepare):
    user_data = {
        "runcmd": [
            "echo first >> /root/ran",
            ["sh", "-c", 'echo "it\'s $1" >> /root/ran', "x", "2"],
        ],
        "write_files": [{"path": "/etc/made/by seed", "content": "a\n  b\\n\n"}],
    }
    vm = vm_plan((nic_plan(0, "lan", AddressMethod.DHCP),), user_data=user_data)
    directory = prepare(vm, net_plan("lan"))
    with machine(directory) as guest:
        guest.wait()
        assert guest.ssh("hostname").strip() == "web"
        assert guest.ssh("hostname -f").strip() == "web.lab.test"
        guest.wait_ready()
        assert guest.ssh("cat /root/ran") == "first\nit's 2\n"
        assert guest.ssh("cat '/etc/made/by seed'") == "a\n  b\\n\n"
        assert guest.ssh("cut -d: -f2 /etc/shadow").strip() == "*"
        guest.ssh("echo kept > /root/kept")
        guest.power_button()
        assert guest.process.wait(20) == 0
    with machine(directory) as guest:
        guest.wait()
        guest.wait_ready()
        assert guest.ssh("cat /root/kept /root/ran") == "kept\nfirst\nit's 2\n"
        assert guest.ssh("wc -l < /root/.ssh/authorized_keys").strip() == "1"


def test_static_addresses_names_and_a_password(prepare):
    first = nic_plan(
        0,
        "lan",
        AddressMethod.STATIC,
        ip=IPv4Address("10.0.2.15"),
        ip6=IPv6Address("fd00:1::15"),
    )
    nics = (first, nic_plan(1, "back", AddressMethod.STATIC, ip=IPv4Address("10.9.0.4")))
    lan = net_plan(
        "lan",
        subnet=IPv4Network("10.0.2.0/24"),
        gateway=IPv4Address("10.0.2.2"),
        subnet6=IPv6Network("fd00:1::/64"),
        gateway6=IPv6Address("fd00:1::1"),
        dns_domain="lab.test",
    )
    back = net_plan("back", subnet=IPv4Network("10.9.0.0/22"), mtu=1400)
    vm = vm_plan(nics, root_password='s3:c"ret $x')
    directory = prepare(vm, lan, back)
    with machine(directory, nics=2) as guest:
        guest.wait()
        shown = guest.ssh("ip addr show dev eth0; ip addr show dev eth1")
        assert "inet 10.0.2.15/24" in shown
        assert "inet6 fd00:1::15/64" in shown
        assert "inet 10.9.0.4/22" in shown
        assert "mtu 1400" in shown
        assert "default via 10.0.2.2 dev eth0" in guest.ssh("ip route")
        assert "default via fd00:1::1 dev eth0" in guest.ssh("ip -6 route")
        assert guest.ssh("cat /etc/resolv.conf") == "search lab.test\nnameserver 10.0.2.2\n"
        stored = guest.ssh("awk -F: '$1 == \"root\" { print $2 }' /etc/shadow").strip()
        salt = stored.split("$")[2]
        again = guest.ssh(f"mkpasswd -m sha512 -S '{salt}' '{vm.spec.root_password}'").strip()
        assert again == stored


def test_a_script_as_user_data_and_files_by_sftp(prepare, tmp_path):
    script = '#!/bin/sh\necho "script of $(hostname)" > /root/script\n'
    vm = vm_plan((nic_plan(0, "lan", AddressMethod.DHCP),), user_data=script)
    directory = prepare(vm, net_plan("lan"))
    with machine(directory) as guest:
        guest.wait()
        guest.wait_ready()
        assert guest.ssh("cat /root/script") == "script of web\n"
        assert guest.ssh("cat /etc/hostname") == "web\n"
        (tmp_path / "up").write_bytes(bytes(range(256)) * 4096)
        known = f"-oUserKnownHostsFile={directory / 'known_hosts'}"
        sftp = ["sftp", "-F", "none", "-b", "-", "-P", str(guest.port), "-i", directory / "id"]
        subprocess.run(
            [*sftp, known, "root@127.0.0.1"],
            input=b"put up /root/up\nget /root/up down\n",
            cwd=tmp_path,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
        for tool in ("ping", "nslookup", "wget", "getent"):
            assert guest.ssh(f"command -v {tool}").strip()


def test_two_builds_of_the_same_packages_are_the_same(image, tmp_path):
    if not shutil.which("apt-get"):
        pytest.fail("apt-get is needed to build templates")
    built = build_template("tiny", store=TemplateStore(tmp_path / "store"), force=True).image
    if built.metadata["packages"] != image.metadata["packages"]:
        built, image = (
            build_template("tiny", store=TemplateStore(tmp_path / name), force=True).image
            for name in ("one", "two")
        )
    assert built.digest == image.digest
