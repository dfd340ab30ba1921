"""Disks, nics, cables, CPUs and memory that come and go while real guests run."""

from collections.abc import Iterator

import pytest

from functional.conftest import Lagoctl
from lago_sdk import Config, LagoError, NetNotFoundError, Prefix, SpecError, VMError

LEASE = (
    "ip link set eth{0} up; udhcpc -f -n -q -t 5 -i eth{0} 2>&1; cat /sys/class/net/eth{0}/address"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, host: str, tiny: str) -> Iterator[Prefix]:
    """One running VM on one of two nets, with room for a second CPU."""
    disk = {"type": "template", "name": "root", "dev": "vda", "template_name": tiny}
    web = {
        "memory": 128,
        "max-memory": 192,
        "vcpu": 1,
        "max-vcpu": 2,
        "nics": [{"net": "lan"}],
        "disks": [disk],
    }
    dhcp = {"start": 100, "end": 200}
    nets = {"lan": {"management": True}, "back": {"type": "isolated", "dhcp": dhcp}}
    workdir = tmp_path_factory.mktemp("hot") / "workdir"
    config = Config.load({"host": host})
    with Prefix.create(
        {"domains": {"web": web}, "nets": nets}, workdir=workdir, config=config
    ) as p:
        p.start("web")
        yield p


def list_disks(lab: Prefix) -> set[str]:
    return set(lab.vms["web"].ssh("ls /sys/block").check().out.split())


def test_disks_come_and_go_and_keep_what_they_hold(lab: Prefix) -> None:
    web = lab.vms["web"]
    before = list_disks(lab)
    disk = web.attach_disk({"type": "empty", "name": "data", "size": "16M"})
    web.wait_for.command(f"test -b /dev/{disk.dev}", timeout=10)
    assert web.ssh(f"cat /sys/block/{disk.dev}/serial").out == "data"
    web.ssh(f"echo kept | dd of=/dev/{disk.dev} bs=512 conv=sync && sync").check()
    image = web.detach_disk("data")
    assert list_disks(lab) == before
    again = web.attach_disk({"type": "file", "name": "again", "path": str(image)})
    web.wait_for.command(f"test -b /dev/{again.dev}", timeout=10)
    assert web.ssh(f"head -c 4 /dev/{again.dev}").out == "kept"
    web.detach_disk("again")


def test_nics_come_and_go_and_their_cables_are_pulled(lab: Prefix) -> None:
    web = lab.vms["web"]
    nic = web.attach_nic("back")
    assert web.nics[-1] == nic
    web.wait_for.file(f"/sys/class/net/eth{nic.index}", timeout=10)
    told = web.ssh(LEASE.format(nic.index), timeout=60).out
    assert f"lease of {nic.ip} obtained" in told
    assert nic.mac in told
    carrier = f"/sys/class/net/eth{nic.index}/carrier"
    web.set_link(nic.index, is_up=False)
    web.wait_for.command(f"grep -q 0 {carrier}", timeout=10)
    assert not web.has_link(nic.index)
    web.set_link(nic.index, is_up=True)
    web.wait_for.command(f"grep -q 1 {carrier}", timeout=10)
    assert web.has_link(nic.index)
    web.detach_nic(nic.index)
    assert web.ssh(f"test -e /sys/class/net/eth{nic.index}").code == 1


def test_a_processor_is_added(lab: Prefix) -> None:
    web = lab.vms["web"]
    web.set_vcpus(2)
    web.wait_for.file("/sys/devices/system/cpu/cpu1/online", timeout=20)
    web.ssh("echo 1 > /sys/devices/system/cpu/cpu1/online; sleep 1")
    assert web.ssh("grep -c ^processor /proc/cpuinfo").out == "2\n"
    with pytest.raises(VMError, match="cannot have 3 virtual CPUs"):
        web.set_vcpus(3)


def test_memory_is_taken_and_given(lab: Prefix) -> None:
    web = lab.vms["web"]

    def get_total() -> int:
        return int(web.ssh("awk '/MemTotal/ { print $2 }' /proc/meminfo").check().out) // 1024

    before = get_total()
    web.set_memory(192)
    assert get_total() == before + 64
    web.set_memory(128)
    assert get_total() == before
    with pytest.raises(VMError, match="cannot have 193 MiB of memory"):
        web.set_memory(193)
    web.ssh("rmmod virtio_balloon").check()
    with pytest.raises(VMError, match="not 100; it keeps 128"):
        web.set_memory(100, timeout=2)
    web.ssh("modprobe virtio_balloon").check()


def test_what_cannot_be_is_told_and_leaves_nothing(lab: Prefix, lagoctl: Lagoctl) -> None:
    web = lab.vms["web"]
    images = sorted((lab.path / "images").iterdir())
    for words, error, told in (
        ({"type": "empty"}, SpecError, "size"),
        ({"type": "empty", "size": "1M", "dev": "hda"}, VMError, "while it runs"),
        ({"type": "empty", "size": "1M", "name": "root"}, VMError, "a disk 'root' already"),
        ({"type": "file", "path": "/nowhere.qcow2"}, VMError, "there is no image"),
        ({"type": "template", "template_name": "no-such"}, VMError, "no-such"),
    ):
        with pytest.raises(error, match=told):
            web.attach_disk(words)
    with pytest.raises(NetNotFoundError):
        web.attach_nic("bcak")
    with pytest.raises(VMError, match="ssh goes over it"):
        web.detach_nic(0)
    with pytest.raises(VMError, match="first disk"):
        web.detach_disk("root")
    with pytest.raises(LagoError, match="no nic eth7"):
        web.set_link(7, is_up=False)
    assert sorted((lab.path / "images").iterdir()) == images
    workdir = ("--workdir-path", str(lab.path.parent))
    both = lagoctl("attach-disk", "web", "--size", "1M", "--path", "x", *workdir, code=2)
    assert "takes one of --size, --path and --template" in both.stderr
    assert "Traceback" not in both.stderr


def test_what_is_attached_is_there_after_a_restart(lab: Prefix, lagoctl: Lagoctl) -> None:
    workdir = ("--workdir-path", str(lab.path.parent))
    done = lagoctl("attach-disk", "web", "--size", "16M", "--name", "more", *workdir)
    assert "attached more as vd" in done.stderr
    done = lagoctl("attach-nic", "web", "back", *workdir)
    assert "attached eth1 on back" in done.stderr
    with Prefix.open_path(lab.path, config=Config.load({})) as other:
        assert [disk.name for disk in other.vms["web"].disks] == ["root", "more"]
        other.reboot()
        assert other.vms["web"].ssh("cat /sys/block/*/serial").out.count("more") == 1
        other.stop()
        other.start()
        assert other.vms["web"].ssh("cat /sys/block/*/serial").out.count("more") == 1
        assert other.vms["web"].ssh("test -e /sys/class/net/eth1").code == 0
    assert lagoctl("link", "web", "eth1", *workdir).stdout == "up\n"
    lagoctl("link", "web", "eth1", "down", *workdir)
    assert lagoctl("link", "web", "eth1", *workdir).stdout == "down\n"
    lagoctl("detach-nic", "web", "eth1", *workdir)
    lagoctl("detach-disk", "web", "more", *workdir)
