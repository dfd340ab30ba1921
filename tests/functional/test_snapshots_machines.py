"""Snapshots of machines that are not as usual: with UEFI, or changed since."""

import pytest

from lago_sdk import Config, Mechanism, Prefix
from lago_sdk.templates.recipes.boot import render_boot_commands

pytestmark = [pytest.mark.root_only, pytest.mark.private_only]

ROOT = {"type": "template", "template_name": "tiny", "name": "root", "dev": "vda"}
EXTRA = {"type": "empty", "size": "16M", "name": "extra"}
NETS = {"lan": {"dhcp": {"start": 100, "end": 254}}}
VM = {"memory": 192, "vcpu": 1, "nics": [{"net": "lan"}], "disks": [ROOT]}


def note(vm, word):
    vm.ssh(f"echo {word} > /root/note; sync; echo {word} > /tmp/note").check()


def read(vm):
    return vm.ssh("cat /root/note /tmp/note").check().out.split()


def boot_id(vm):
    return vm.ssh("cat /proc/sys/kernel/random/boot_id").check().out


def list_devices(vm):
    """Disks and cards that the guest sees; the seed, which cannot be written to, is no disk."""
    disks = "for i in /sys/block/vd*; do [ $(cat $i/ro) = 1 ] || basename $i; done"
    return set(vm.ssh(f"{disks}; ls /sys/class/net").check().out.split()) - {"lo"}


def find_extra(vm):
    """The device of the disk ``extra``, as soon as the guest has found it."""
    look = "grep -l ^extra /sys/block/*/serial"
    word = vm.ssh(f"for i in $(seq 100); do {look} && break; sleep 0.2; done").check().out.strip()
    return word.split("/")[3] if word else None


def read_extra(vm):
    return vm.ssh(f"head -c 4 /dev/{find_extra(vm)}").check().out


@pytest.fixture(scope="module")
def config_of_module(host):
    return Config.load({"host": host})


@pytest.fixture(scope="module")
def lab(tmp_path_factory, config_of_module, tiny):
    workdir = tmp_path_factory.mktemp("machines") / "w"
    spec = {"domains": {"web": VM}, "nets": NETS}
    with Prefix.create(spec, workdir=workdir, config=config_of_module) as prefix:
        yield prefix


@pytest.fixture(scope="module")
def uefi_lab(tmp_path_factory, config_of_module, lab):
    """The tiny guest's kernel boots from UEFI; its disk has a boot loader for BIOS only."""
    place = tmp_path_factory.mktemp("uefi")
    boot = {name: place / name for name in ("vmlinuz", "initrd")}
    paths = [(f"/boot/{name}", path) for name, path in boot.items()]
    lab.vms["web"].extract_paths(paths, ignore_missing=False)  # it is off: from its disk
    _, _, options = render_boot_commands().splitlines()[1].split(maxsplit=2)
    files = {"kernel": str(boot["vmlinuz"]), "initrd": str(boot["initrd"]), "cmdline": options}
    spec = {"domains": {"web": {**VM, **files, "memory": 256, "firmware": "efi"}}, "nets": NETS}
    with Prefix.create(spec, workdir=place / "w", config=config_of_module) as prefix:
        prefix.start()
        yield prefix


@pytest.fixture(autouse=True)
def no_forks(lab, uefi_lab):
    yield
    for prefix in (lab, uefi_lab):
        if (prefix.path.parent / "copy").exists():
            Prefix.open(prefix.path.parent, "copy").destroy()


def test_a_vm_with_uefi_goes_back_running_stopped_and_changed(uefi_lab):
    web = uefi_lab.vms["web"]
    assert web.ssh("test -d /sys/firmware/efi").code == 0
    note(web, "first")
    first, devices = boot_id(web), list_devices(web)
    uefi_lab.create_snapshots("clean")
    assert uefi_lab.snapshots["clean"].vms["web"].mechanism is Mechanism.OUTSIDE
    assert (read(web), boot_id(web)) == (["first", "first"], first)
    note(web, "second")
    uefi_lab.revert_snapshots("clean")
    assert (read(web), boot_id(web)) == (["first", "first"], first)
    assert uefi_lab.list_changes("clean").keys() == {"web"}  # we have just looked
    note(web, "third")
    uefi_lab.stop()
    uefi_lab.revert_snapshots("clean")
    assert (read(web), boot_id(web)) == (["first", "first"], first)
    web.attach_disk(EXTRA)
    assert find_extra(web)
    uefi_lab.revert_snapshots("clean")
    assert (read(web), boot_id(web), list_devices(web)) == (["first", "first"], first, devices)
    fork = uefi_lab.fork("copy")
    assert (read(fork.vms["web"]), boot_id(fork.vms["web"])) == (["first", "first"], first)
    fork.destroy()
    uefi_lab.stop()
    uefi_lab.start()
    assert boot_id(web) != first
    uefi_lab.delete_snapshots("clean")


def test_what_was_attached_is_gone_after_a_revert_and_back_with_the_next_start(lab):
    lab.start()
    web = lab.vms["web"]
    note(web, "first")
    first, before = boot_id(web), list_devices(web)
    lab.create_snapshots("clean")
    web.attach_disk(EXTRA)
    web.attach_nic("lan")
    assert lab.is_dirty("clean")
    web.ssh(f"echo kept | dd of=/dev/{find_extra(web)} conv=fsync").check()
    note(web, "more")
    lab.create_snapshots("more")
    assert lab.revert_snapshots("clean").in_place == ()
    assert (read(web), boot_id(web), list_devices(web)) == (["first", "first"], first, before)
    assert lab.revert_snapshots("clean").in_place == ("web",)
    # A fork of this moment knows of what comes with the next start, as the prefix does.
    fork = lab.fork("copy")
    fork.stop()
    fork.start()
    assert read_extra(fork.vms["web"]) == "kept"
    assert len(list_devices(fork.vms["web"])) == len(before) + 2
    fork.destroy()
    lab.stop()
    lab.start()
    assert len(list_devices(web)) == len(before) + 2
    assert read_extra(web) == "kept"
    lab.revert_snapshots("clean")  # the lab was restarted, with devices of later
    assert (read(web), boot_id(web), list_devices(web)) == (["first", "first"], first, before)
    # What is out of the guest already is only taken from the plan.
    web.detach_disk("extra")
    web.detach_nic(1)
    lab.revert_snapshots("more")
    assert read(web) == ["more", "more"]
    assert len(list_devices(web)) == len(before) + 2
    assert read_extra(web) == "kept"
    lab.revert_snapshots("clean")
    assert list_devices(web) == before
