"""Hot changes on fakes: what is decided, what is plugged in, and what is left after a failure."""

from xml.etree import ElementTree as ET

import pytest
from fake_labs import domain, lab_spec, make_lab, network, vm

from lago_sdk import HypervisorError, NetNotFoundError, SpecError, VMError, VMNotRunningError

EMPTY = {"type": "empty", "size": "1M", "name": "data"}
REFUSED = HypervisorError("no more slots")


@pytest.fixture
def lab(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm("lan"), db=vm("lan", "back")))
    prefix.start()
    return prefix, world


def devices(prefix, world, name="web"):
    root = ET.fromstring(world.hypervisor.get_domain_xml(domain(prefix, name)))
    return root.find("devices")


def test_a_disk_is_made_plugged_in_and_written_down(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    disk = web.attach_disk(EMPTY)
    assert (disk.name, disk.spec.serial) == ("data", "data")
    assert [d.name for d in web.disks] == ["root", "data"]
    assert web.spec.disks[-1] == disk.spec
    assert (prefix.path / disk.path).exists()
    plugged = devices(prefix, world).findall("disk")[-1]
    assert plugged.find("target").get("dev") == disk.dev
    image = web.detach_disk("data")
    assert image == prefix.path / disk.path
    assert image.exists()
    assert [d.name for d in web.disks] == ["root"]
    targets = devices(prefix, world).iterfind("disk/target")
    assert disk.dev not in {target.get("dev") for target in targets}


def test_devices_come_behind_those_that_the_guest_has(lab):
    prefix, _ = lab
    web = prefix.vms["web"]
    seed = "vdb"
    found = [web.attach_disk({**EMPTY, "name": f"d{n}"}).dev for n in range(3)]
    assert found == ["vdc", "vdd", "vde"]
    assert seed not in found


def test_a_disk_of_a_stopped_vm_is_there_at_its_next_start(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    web.stop()
    disk = web.attach_disk(EMPTY)
    assert world.hypervisor.count("attach_device") == 0
    web.start()
    targets = devices(prefix, world).iterfind("disk/target")
    assert disk.dev in {target.get("dev") for target in targets}


def test_a_disk_that_cannot_be_plugged_in_leaves_nothing(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    images = sorted((prefix.path / "images").iterdir())
    world.hypervisor.fail(domain(prefix, "web"), REFUSED, on="attach")
    with pytest.raises(VMError, match="cannot be plugged into 'web': no more slots"):
        web.attach_disk(EMPTY)
    assert sorted((prefix.path / "images").iterdir()) == images
    assert [d.name for d in web.disks] == ["root"]


def test_a_guest_that_holds_on_keeps_the_disk(lab):
    prefix, world = lab
    web = prefix.vms["web"]
    web.attach_disk(EMPTY)
    world.hypervisor.hold_devices(domain(prefix, "web"))
    with pytest.raises(VMError, match="did not let go of 'data' within 2 s"):
        web.detach_disk("data", timeout=2)
    assert [d.name for d in web.disks] == ["root", "data"]


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ({"type": "empty"}, SpecError, "size"),
        ({**EMPTY, "name": "root"}, VMError, "a disk 'root' already"),
        ({**EMPTY, "dev": "vda"}, VMError, "'vda' of 'web' is taken"),
        ({**EMPTY, "dev": "vdb"}, VMError, "'vdb' of 'web' is taken"),
        ({**EMPTY, "dev": "sda"}, VMError, "a scsi disk cannot be plugged into 'web' while"),
        ({"type": "file", "path": "/nowhere"}, VMError, "there is no image '/nowhere'"),
        ({"type": "template"}, SpecError, "template_name"),
    ],
)
def test_bad_disks_are_told(lab, words, error, told):
    with pytest.raises(error, match=told):
        lab[0].vms["web"].attach_disk(words)


@pytest.mark.parametrize(("name", "told"), [("dta", "no disk 'dta'"), ("root", "first disk")])
def test_disks_that_cannot_be_taken_out(lab, name, told):
    lab[0].vms["web"].attach_disk(EMPTY)
    with pytest.raises(VMError, match=told):
        lab[0].vms["web"].detach_disk(name)


def test_a_nic_gets_the_next_address_and_the_others_keep_theirs(lab):
    prefix, world = lab
    before = {name: other.nics for name, other in prefix.vms.items()}
    web = prefix.vms["web"]
    nic = web.attach_nic("lan")
    assert nic.index == 1
    taken = [n.ip for nics in before.values() for n in nics if n.net == "lan"]
    assert nic.ip not in taken
    assert prefix.nets["lan"].mapping["web-eth1"] == str(nic.ip)
    assert {name: prefix.vms[name].nics[: len(nics)] for name, nics in before.items()} == before
    plugged = devices(prefix, world).findall("interface")[-1]
    assert plugged.find("mac").get("address") == nic.mac
    web.detach_nic(1)
    assert web.nics == before["web"]
    assert len(devices(prefix, world).findall("interface")) == 1


def test_a_net_that_is_down_is_started_for_its_first_nic(tmp_path):
    prefix, _ = make_lab(tmp_path, lab_spec(web=vm("lan"), db=vm("lan", "back")))
    prefix.start("web")
    assert not prefix.nets["back"].state.is_active
    prefix.vms["web"].attach_nic("back")
    assert prefix.nets["back"].state.is_active


def test_a_net_that_is_up_learns_the_reservation(lab):
    prefix, world = lab
    nic = prefix.vms["web"].attach_nic("lan")
    reserved = world.hypervisor._networks[network(prefix, "lan")].reserved
    assert reserved[nic.mac][1] == str(nic.ip)
    prefix.vms["web"].detach_nic(nic.index)
    assert nic.mac not in reserved
    assert str(nic.ip) not in prefix.nets["lan"].mapping.values()
    assert prefix.vms["web"].attach_nic("lan").ip == nic.ip


def test_bad_nics_are_told(lab):
    web = lab[0].vms["web"]
    with pytest.raises(NetNotFoundError, match="bcak"):
        web.attach_nic("bcak")
    with pytest.raises(SpecError, match="is taken"):
        web.attach_nic({"net": "lan", "ip": web.ip})
    with pytest.raises(VMError, match="ssh goes over it"):
        web.detach_nic(0)
    with pytest.raises(VMError, match="no nic eth5"):
        web.detach_nic(5)


def test_cables(lab):
    prefix, _ = lab
    db = prefix.vms["db"]
    assert db.has_link(1)
    db.set_link(1, is_up=False)
    assert not db.has_link(1)
    assert db.has_link(0)
    db.set_link(1, is_up=True)
    assert db.has_link(1)
    db.stop()
    with pytest.raises(VMNotRunningError):
        db.set_link(0, is_up=False)


def test_processors(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm(vcpu=1, **{"max-vcpu": 2})))
    prefix.start()
    web = prefix.vms["web"]
    web.set_vcpus(2)
    assert (web.spec.vcpu, web.spec.max_vcpu) == (2, 2)
    assert world.hypervisor.count("set_vcpus") == 1
    for count in (0, 3):
        with pytest.raises(VMError, match=f"cannot have {count} virtual CPUs") as caught:
            web.set_vcpus(count)
    assert caught.value.hint.startswith("1 to 2")


def test_memory(tmp_path):
    prefix, world = make_lab(tmp_path, lab_spec(web=vm(memory=512, **{"max-memory": "1GiB"})))
    prefix.start()
    web = prefix.vms["web"]
    name = prefix.plan.get_vm("web").domain
    assert world.hypervisor.get_memory(name) == 512
    web.set_memory(1024)
    assert world.hypervisor.get_memory(name) == 1024
    assert (web.spec.memory, web.spec.max_memory) == (1024, 1024)
    for size in (0, 1025):
        with pytest.raises(VMError, match=f"cannot have {size} MiB") as caught:
            web.set_memory(size)
    assert caught.value.hint.startswith("1 to 1024")
    web.stop()
    web.set_memory(256)
    web.start()
    assert world.hypervisor.get_memory(name) == 256


def test_a_guest_that_keeps_its_memory_is_told_of(lab):
    prefix, world = lab
    name = prefix.plan.get_vm("web").domain
    before = world.hypervisor.get_memory(name)
    world.hypervisor.hold_devices(name)
    with pytest.raises(VMError, match=f"has {before} MiB of memory after 3 s, not 32") as caught:
        prefix.vms["web"].set_memory(32, timeout=3)
    assert "virtio_balloon" in caught.value.hint
    assert prefix.vms["web"].spec.memory == before


def test_another_handle_of_the_prefix_sees_it(lab):
    prefix, _ = lab
    prefix.vms["web"].attach_disk(EMPTY)
    stored = prefix._store.find_plan()
    assert [disk.name for disk in stored.get_vm("web").disks] == ["root", "data"]
