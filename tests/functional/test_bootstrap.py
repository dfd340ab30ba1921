"""The same lab by each way to prepare a guest: what guests know, what is pinned, what survives."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from functional.conftest import list_processes
from lago_sdk import (
    Bootstrap,
    Config,
    Event,
    Prefix,
    StageStarted,
    get_template_info,
)
from lago_sdk.adapters.process import run
from lago_sdk.connect import local_disks, local_environ, local_images
from lago_sdk.ports import OfflineFile, OfflineFS, OfflineVisit
from lago_sdk.spec.disk import DiskFormat

pytestmark = [pytest.mark.functional, pytest.mark.timeout(600)]

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
LAN = {"management": True, "dhcp": {"start": 100, "end": 254}, "dns_domain_name": "lab.test"}
NETS = {"lan": LAN, "back": {"type": "isolated", "gw": "192.168.77.1"}}
ROADS = {"seeded": "seed", "written": "inject", "booted": "guestfs"}


def domain(number: int, bootstrap: str, **values: object) -> dict[str, object]:
    nics = [{"net": "lan"}, {"net": "back", "ip": f"192.168.77.{number}"}]
    sizes = {"memory": 192, "vcpu": 1}
    return {**sizes, "nics": nics, "disks": [ROOT], "bootstrap": bootstrap, **values}


def pinned(prefix: Prefix) -> dict[str, list[str]]:
    lines = (prefix.path / "known_hosts").read_text().splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str
) -> Iterator[tuple[Prefix, dict[str, list[str]]]]:
    """Three VMs that differ in nothing but the way, running, and the keys pinned before."""
    domains = {name: domain(10 + n, road) for n, (name, road) in enumerate(ROADS.items())}
    workdir = tmp_path_factory.mktemp("roads") / "w"
    spec = {"domains": domains, "nets": NETS}
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        before = pinned(prefix)
        prefix.start()
        yield prefix, before


@pytest.mark.parametrize("name", ROADS)
def test_a_guest_knows_its_name_its_nics_and_whom_to_let_in(lab, name):
    prefix, before = lab
    vm = prefix.vms[name]
    assert vm.ssh("hostname").check().out.strip() == name
    assert f"{name}.lab.test" in vm.ssh("cat /etc/hosts").check().out
    initiator = vm.ssh("cat /etc/iscsi/initiatorname.iscsi").check().out
    assert initiator == f"InitiatorName={vm.iscsi_name}\n"
    addresses = vm.ssh("ip -o address").check().out
    for nic, plan in zip(("eth0", "eth1"), prefix.plan.get_vm(name).nics, strict=True):
        assert f"{nic}    inet {plan.ip}/24" in addresses
    others = [other for other in ROADS if other != name]
    assert all(vm.ssh(["ping", "-c1", other]).code == 0 for other in others)
    # The guest shows the key that was pinned before it ran.
    assert before[name] == pinned(prefix)[name]
    assert before[name][0] == "ssh-ed25519"


def test_the_written_disks_are_sound_and_the_same_after_a_restart(lab):
    prefix, before = lab
    vm = prefix.vms["written"]
    vm.ssh("echo kept > /root/note; sync").check()
    vm.shutdown()
    vm.start()
    assert vm.ssh("hostname; cat /root/note").check().out.split() == ["written", "kept"]
    assert pinned(prefix) == before


@pytest.mark.private_only
def test_snapshots_and_forks_hold(lab):
    prefix, before = lab
    vm = prefix.vms["written"]
    prefix.create_snapshots("clean")
    vm.ssh("rm -r /etc/netplan /root/.ssh; sync").check()
    prefix.revert_snapshots("clean")
    assert vm.ssh("ls /root/.ssh/authorized_keys").check()
    fork = prefix.fork("copy")
    try:
        assert fork.vms["written"].ssh("hostname").check().out.strip() == "written"
        assert pinned(fork) == before
    finally:
        fork.destroy()
    prefix.delete_snapshots("clean")


KILLED = """
import os, signal, sys
from lago_sdk import Config, Prefix
from lago_sdk.adapters.offline.debugfs import Debugfs

write = Debugfs.write
count = 0

def die_at_the_third(*arguments):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*arguments)

Debugfs.write = die_at_the_third
workdir, host = sys.argv[1:]
disk = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
vm = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [disk], "bootstrap": "inject"}
config = Config.load({"host": host})
Prefix.create({"domains": {"web": vm}, "nets": {"lan": {}}}, workdir=workdir, config=config)
sys.exit("nothing was written")
"""


def test_killed_in_the_middle_of_an_injection_the_disk_is_not_there(tmp_path, host, config, tiny):
    workdir = tmp_path / "w"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(workdir), host],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    images = workdir / "default" / "images"
    assert (images / ".web_root.qcow2.part").exists()
    assert not (images / "web_root.qcow2").exists()
    wait_until_alone(workdir)
    prefix = Prefix.open_path(workdir / "default", config=config)
    try:
        prefix.start()
        assert prefix.vms["web"].ssh("hostname").check().out.strip() == "web"
        assert [path.name for path in images.iterdir()] == ["web_root.qcow2"]
    finally:
        prefix.destroy()
    assert not workdir.exists()


def wait_until_alone(path: Path) -> None:
    """Return when no process has *path* in its command line: they end at once, not before."""
    for _ in range(100):
        if not [command for _, command in list_processes() if str(path) in command]:
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail(f"processes use {path} still")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, debian: str, base_config: Config) -> Path:
    """Debian without cloud-init: an image of one's own, which nothing is said about."""
    path = tmp_path_factory.mktemp("image") / "plain.qcow2"
    template = get_template_info(debian, config=base_config).template
    local_images().create_overlay(path, template.image)
    with local_disks().open(path, DiskFormat.QCOW2, read_only=False) as fs:
        fs.write_files({"/etc/cloud/cloud-init.disabled": OfflineFile(data=b"")})
    return path


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory, host: str, image: Path) -> Iterator[Prefix]:
    """Two VMs with systemd."""
    values = {"memory": 384, "disks": [own_disk(image)]}
    domains = {
        "told": domain(20, "credentials", **values),
        "own": domain(21, "auto", **values),
    }
    workdir = tmp_path_factory.mktemp("systemd") / "w"
    spec = {"domains": domains, "nets": NETS}
    with Prefix.create(spec, workdir=workdir, config=Config.load({"host": host})) as prefix:
        assert list(pinned(prefix)) == ["own"]
        prefix.start()
        yield prefix


def own_disk(image: Path) -> dict[str, str]:
    return {"type": "template", "template_type": "qcow2", "path": str(image), "name": "root"}


@pytest.mark.root_only
@pytest.mark.private_only
def test_auto_looks_into_the_image(guests):
    plan = guests.plan.get_vm("own")
    assert plan.bootstrap is Bootstrap.INJECT
    assert plan.bootstrap_reason.startswith("its image has no cloud-init")
    assert plan.distro == "debian"


@pytest.mark.root_only
@pytest.mark.private_only
@pytest.mark.parametrize("name", ["told", "own"])
def test_a_guest_with_systemd_has_all_that_it_was_told(guests, name):
    vm = guests.vms[name]
    assert vm.ssh("hostname; cat /etc/hostname").check().out.split() == [name, name]
    initiator = vm.ssh("cat /etc/iscsi/initiatorname.iscsi").check().out
    assert initiator == f"InitiatorName={vm.iscsi_name}\n"
    addresses = vm.ssh("ip -o -4 address").check().out
    for nic, plan in zip(("eth0", "eth1"), guests.plan.get_vm(name).nics, strict=True):
        assert f"{nic}    inet {plan.ip}/24" in addresses
    # The first key that was seen is pinned where none could be given.
    assert pinned(guests)[name][0] == "ssh-ed25519"
    units = vm.ssh("systemctl --failed --no-legend; systemctl is-active systemd-networkd")
    assert units.check().out.split() == ["active"]


@pytest.mark.root_only
@pytest.mark.private_only
def test_machine_ids_differ(guests):
    ids = {vm.ssh("cat /etc/machine-id").check().out for vm in guests.vms.values()}
    assert len(ids) == 2


MAKE_LVM = """
run
part-disk /dev/sda mbr
pvcreate /dev/sda1
vgcreate system /dev/sda1
lvcreate root system 400
mkfs xfs /dev/system/root
mount /dev/system/root /
mkdir-p /etc/netplan
mkdir /root
write /etc/passwd "root:x:0:0:root:/root:/bin/sh\\n"
write /etc/hostname "old\\n"
umount-all
shutdown
"""


@pytest.fixture(scope="module")
def lvm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with xfs on LVM, which need not boot to be looked at."""
    path = tmp_path_factory.mktemp("lvm") / "lvm.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "512M"])
    environ = {**local_environ(), "LIBGUESTFS_BACKEND": "direct"}
    environ["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    options = ["--format=qcow2", "-a", str(path)]
    run(["guestfish", *options], input=MAKE_LVM.encode(), env=environ)
    return path


@pytest.mark.root_only
@pytest.mark.private_only
def test_one_appliance_writes_to_all_and_each_gets_its_own(lvm, make_prefix):
    events: list[Event] = []
    names = ("one", "two")
    vm = domain(30, "auto", disks=[own_disk(lvm)], nics=[{"net": "lan"}])
    spec = {"domains": dict.fromkeys(names, vm), "nets": {"lan": LAN}}
    prefix = make_prefix(spec, observer=events.append)
    begun = [event.stage for event in events if isinstance(event, StageStarted)]
    assert begun.count("inject files") == 1
    for plan in prefix.plan.vms:
        assert plan.bootstrap is Bootstrap.GUESTFS
        assert plan.bootstrap_reason.endswith("its root file system is LVM")
    seen = dict.fromkeys(names, False)

    def look(name: str, fs: OfflineFS) -> None:
        assert fs.read_file("/etc/hostname") == f"{name}\n".encode()
        line = fs.read_file("/etc/ssh/ssh_host_ed25519_key.pub").decode().split()
        assert pinned(prefix)[name] == line[:2]
        entry = fs.find("/root/.ssh")
        assert entry is not None
        assert entry.mode == 0o700
        seen[name] = True

    local_disks().change_all(
        [
            OfflineVisit(
                path=prefix.path / "images" / f"{name}_root.qcow2",
                image_format=DiskFormat.QCOW2,
                apply=partial(look, name),
            )
            for name in names
        ]
    )
    assert all(seen.values())
