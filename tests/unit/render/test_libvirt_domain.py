"""What the domain's XML says, where a golden file would not show why."""

from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libvirt_cases import (
    KVM,
    NETS_OF_VMS,
    PREFIX_UUID,
    ROOT,
    SCSI,
    SHARE,
    TCG,
    disk_plan,
    nic_plan,
    vm_plan,
)

from lago_sdk.errors import VMError
from lago_sdk.plan.facts import Accel
from lago_sdk.render.cpu import numa_cell_sizes, render_cpu
from lago_sdk.render.disks import list_drives
from lago_sdk.render.domain import render_domain
from lago_sdk.render.tags import Tag, parse_tag
from lago_sdk.spec import BootDevice, DiskBus, DiskFormat

WINNING = """
<domain type='xen'>
  <memory unit='GiB'>3</memory>
  <features><apic eoi='on'/></features>
  <clock offset='localtime'/>
  <devices><sound model='ich9'/></devices>
</domain>
"""


def render(vm, facts=TCG):
    text = render_domain(vm, nets=NETS_OF_VMS, facts=facts, root=ROOT, prefix_uuid=PREFIX_UUID)
    return ET.fromstring(text)


def test_the_tag_is_found_again():
    text = render_domain(
        vm_plan(), nets=NETS_OF_VMS, facts=TCG, root="/a & b/<c>", prefix_uuid=PREFIX_UUID
    )
    assert parse_tag(text) == Tag(prefix_uuid=PREFIX_UUID, name="web", path="/a & b/<c>")


def test_a_domain_of_somebody_else_has_no_tag():
    assert parse_tag("<domain><name>x</name></domain>") is None


@pytest.mark.parametrize(("facts", "kind"), [(TCG, "qemu"), (KVM, "kvm")])
def test_the_type_is_that_of_the_accelerator(facts, kind):
    assert render(vm_plan(), facts).get("type") == kind


def test_paths_of_the_prefix_are_resolved_and_others_kept():
    vm = vm_plan(disks=(disk_plan(), disk_plan("vdb", path="/srv/data.qcow2")), seed="images/s.iso")
    sources = [source.get("file") for source in render(vm).iterfind("devices/disk/source")]
    assert sources == [f"{ROOT}/images/web_vda.qcow2", "/srv/data.qcow2", f"{ROOT}/images/s.iso"]


def test_no_backing_chain_is_written():
    assert render(vm_plan()).find(".//backingStore") is None


@given(count=st.integers(1, 60))
def test_the_seed_comes_after_all_disks(count):
    vm = vm_plan(seed="seed.iso")
    names = [drive.dev for drive in list_drives(_with_disks(vm, count), PurePosixPath(ROOT), "q35")]
    assert len(set(names)) == len(names) == count + 1
    assert names[0] == "vda"
    assert (len(names[-1]), names[-1]) == max((len(name), name) for name in names)


def _with_disks(vm, count):
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*letters, *(a + b for a in letters for b in letters)][:count]
    return attrs.evolve(vm, disks=tuple(disk_plan(f"vd{name}") for name in names))


def test_a_vm_without_virtio_disks_has_its_seed_on_vda():
    vm = vm_plan(disks=(disk_plan("sda", SCSI),), seed="seed.iso")
    assert [drive.dev for drive in list_drives(vm, PurePosixPath(ROOT), "q35")] == ["sda", "vda"]


def test_the_seed_can_hinder_neither_boot_nor_snapshots():
    seed = render(vm_plan(seed="seed.iso")).findall("devices/disk")[-1]
    assert seed.get("snapshot") == "no"
    assert seed.find("readonly") is not None
    assert seed.find("boot") is None


def test_the_first_disk_boots_first_whatever_its_bus():
    devices = render(vm_plan(disks=(disk_plan("sda", SCSI), disk_plan()))).iterfind("devices/disk")
    order = {disk.find("target").get("dev"): disk.find("boot").get("order") for disk in devices}
    assert order == {"sda": "1", "vda": "2"}


def test_a_nic_has_its_boot_rom_only_to_boot_from():
    nics = (nic_plan(),)
    quick = render(vm_plan(nics=nics)).find("devices/interface")
    assert quick.find("rom").get("enabled") == "no"
    booting = render(vm_plan(nics=nics, boot=(BootDevice.NETWORK,))).find("devices/interface")
    assert booting.find("rom") is None
    assert booting.find("boot").get("order") == "1"


@pytest.mark.parametrize(
    ("vcpu", "cells"),
    [
        (1, (1,)),
        (2, (1, 1)),
        (3, (1,) * 3),
        (4, (2, 2)),
        (6, (2,) * 3),
        (8, (4, 4)),
        (10, (2,) * 5),
    ],
)
def test_numa_cells_are_lagos(vcpu, cells):
    assert numa_cell_sizes(vcpu) == cells


@given(vcpu=st.integers(2, 255), memory=st.integers(256, 1 << 20))
def test_numa_cells_hold_all_cpus_and_all_memory(vcpu, memory):
    cpu = render_cpu(vm_plan(vcpu=vcpu, memory=memory), TCG)
    cells = cpu.findall("numa/cell")
    assert sum(int(cell.get("memory")) for cell in cells) == memory
    assert sum(numa_cell_sizes(vcpu)) == vcpu
    assert cells[-1].get("cpus").rpartition("-")[2] == str(vcpu - 1)


@pytest.mark.parametrize(
    ("facts", "model", "nests"),
    [
        (KVM, "Westmere", True),
        (KVM, "EPYC", False),
        (KVM, "qemu64", False),
        (KVM, "NoSuch", False),
        (attrs.evolve(KVM, cpu_flags=frozenset()), "Westmere", False),
        (attrs.evolve(KVM, cpu_vendor="AMD"), "Westmere", False),
        (attrs.evolve(KVM, accel=Accel.TCG), "Westmere", False),
        (attrs.evolve(KVM, cpu_vendor="AMD", cpu_flags=frozenset({"svm"})), "EPYC", True),
    ],
)
def test_a_model_nests_where_the_host_is_of_its_vendor_and_can(facts, model, nests):
    assert (render_cpu(vm_plan(cpu_model=model), facts).find("feature") is not None) is nests


def test_a_custom_cpu_keeps_its_own_topology():
    custom = {"cpu": {"topology": {"@sockets": 1, "@cores": 2, "@threads": 1}, "vendor": "Intel"}}
    cpu = render_cpu(vm_plan(cpu_custom=custom, vcpu=2), TCG)
    assert [element.get("cores") for element in cpu.iterfind("topology")] == ["2"]
    assert cpu.findtext("vendor") == "Intel"


def test_yaml_booleans_become_libvirts_words():
    cpu = render_cpu(vm_plan(cpu_custom={"cache": {"@mode": "emulate", "@x": True}}), TCG)
    assert cpu.find("cache").get("x") == "yes"


@pytest.mark.parametrize("custom", [{"@mode": ["a"]}, {1: "x"}, {"model": {"#text": {"a": 1}}}])
def test_a_custom_cpu_that_is_no_xml_is_refused(custom):
    with pytest.raises(VMError, match="cpu_custom of 'web'"):
        render_cpu(vm_plan(cpu_custom=custom), TCG)


def test_a_read_only_share_needs_a_libvirt_that_can():
    vm = vm_plan(shares=(attrs.evolve(SHARE, read_only=True),))
    with pytest.raises(VMError, match="share 'pkgs' of 'web' cannot be read-only"):
        render(vm)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<watchdog", "not well-formed"),
        ("</devices><os/><devices>", "not well-formed"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><domain/>", "document type"),
        ("<?xml version='1.0'?><network/>", "is a <network> document"),
        ("<domain><name>mine</name></domain>", "must not set <name>"),
        ("<domain><uuid>x</uuid></domain>", "must not set <uuid>"),
        (
            "<domain><metadata><prefix xmlns='urn:lago-sdk:prefix:1'/></metadata></domain>",
            "library's own metadata",
        ),
    ],
)
def test_xml_that_cannot_be_merged_is_refused(xml, message):
    with pytest.raises(VMError, match=message):
        render(vm_plan(xml=xml))


def test_xml_of_a_domain_wins_over_ours_and_adds_to_it():
    domain = render(vm_plan(xml=WINNING))
    assert domain.get("type") == "qemu"
    assert (domain.findtext("memory"), domain.find("memory").get("unit")) == ("3", "GiB")
    assert domain.find("features/apic").get("eoi") == "on"
    assert domain.find("features/acpi") is not None
    assert domain.find("clock").get("offset") == "localtime"
    assert domain.find("devices/sound") is not None
    assert domain.find("devices/disk") is not None


def test_a_medium_on_ide_moves_to_virtio_scsi_where_the_machine_has_no_ide():
    disks = (disk_plan("sda", SCSI), disk_plan("hdc", DiskBus.IDE, DiskFormat.ISO))
    drives = list_drives(vm_plan(disks=disks), PurePosixPath(ROOT), "pc-q35-7.2")
    assert [(drive.dev, drive.bus, drive.cdrom) for drive in drives] == [
        ("sda", SCSI, False),
        ("sdb", SCSI, True),
    ]
