"""OVF descriptors, of oVirt's kind and of everybody else's."""

import pytest

from lago_sdk.codec.ovf import OvfDisk, parse_ovf, parse_unit
from lago_sdk.errors import ImageError

OVIRT = """\
<?xml version='1.0' encoding='UTF-8'?>
<ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:rasd="r" xmlns:xsi="x">
  <References>
    <File ovf:href="group-1/volume-1" ovf:id="volume-1" ovf:size="1"/>
    <File ovf:href="group-2/volume-2" ovf:id="volume-2" ovf:size="1"/>
  </References>
  <Section xsi:type="ovf:DiskSection_Type"><Disk ovf:diskId="volume-1" ovf:size="8"/></Section>
  <Content><Section xsi:type="ovf:VirtualHardwareSection_Type">
    <Item><rasd:ResourceType>3</rasd:ResourceType>
      <rasd:num_of_sockets>2</rasd:num_of_sockets><rasd:cpu_per_socket>3</rasd:cpu_per_socket></Item>
    <Item><rasd:ResourceType>4</rasd:ResourceType>
      <rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>
      <rasd:VirtualQuantity>4096</rasd:VirtualQuantity></Item>
    <Item><rasd:ResourceType>17</rasd:ResourceType>
      <rasd:HostResource>group-1/volume-1</rasd:HostResource></Item>
    <Item><rasd:ResourceType>17</rasd:ResourceType>
      <rasd:HostResource>group-2/volume-2</rasd:HostResource></Item>
  </Section></Content>
</ovf:Envelope>
"""


def envelope(items, disks="", files=""):
    return f"""<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2">
    <References>{files}</References><DiskSection>{disks}</DiskSection>
    <VirtualSystem><VirtualHardwareSection>{items}</VirtualHardwareSection></VirtualSystem>
    </Envelope>"""


def item(kind, **values):
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f"<Item><ResourceType>{kind}</ResourceType>{inner}</Item>"


def parse(text):
    return parse_ovf(text.encode(), source="x.ovf")


def test_the_machine_of_an_ovirt_archive():
    machine = parse(OVIRT)
    assert (machine.memory, machine.vcpu) == (4096, 6)
    assert [disk.file for disk in machine.disks] == ["group-1/volume-1", "group-2/volume-2"]


def test_disks_by_reference_by_file_and_empty_ones():
    files = '<File id="f1" href="a.vmdk"/><File id="f2" href="b.img"/>'
    disks = (
        '<Disk diskId="d1" fileRef="f1" capacity="3" capacityAllocationUnits="byte * 2^30"/>'
        '<Disk diskId="d3" capacity="1048576"/>'
    )
    resources = ("ovf:/disk/d1", "ovf:/file/f2", "/disk/d3")
    items = "".join(item(17, HostResource=resource) for resource in resources)
    assert parse(envelope(items, disks, files)).disks == (
        OvfDisk(file="a.vmdk", size=3 << 30),
        OvfDisk(file="b.img"),
        OvfDisk(file=None, size=1 << 20),
    )


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("byte", 1),
        ("byte * 2^20", 1 << 20),
        ("byte*2^30", 1 << 30),
        ("bytes * 10^6", 10**6),
        ("byte * 1024 * 1024", 1 << 20),
        ("MegaBytes", 1 << 20),
        ("MB", 1 << 20),
        ("GigaBytes", 1 << 30),
        ("", 1 << 20),
    ],
)
def test_units(unit, factor):
    assert parse_unit(unit, source="x") == factor


@pytest.mark.parametrize("unit", ["parsecs", "byte * 0", "byte ^ 2", "byte * 2^99999999", "bit"])
def test_units_that_are_none(unit):
    with pytest.raises(ImageError, match="no unit of sizes"):
        parse_unit(unit, source="x")


def test_memory_is_rounded_up_to_whole_mebibytes():
    items = item(4, AllocationUnits="byte", VirtualQuantity=(1 << 20) + 1)
    assert parse(envelope(items)).memory == 2


def test_what_is_not_said_is_none():
    machine = parse(envelope(item(10)))
    assert (machine.memory, machine.vcpu, machine.disks) == (None, None, ())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<Envelope", "damaged"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "document type"),
        ("<Envelope/>", "0 machines"),
        (envelope(item(17, HostResource="ovf:/disk/none")), "does not describe"),
        (envelope(item(17)), "without an image"),
        (envelope(item(3, VirtualQuantity="many")), "no number"),
        (
            envelope(
                item(17, HostResource="ovf:/file/f"), files='<File id="f" href="http://x/y"/>'
            ),
            "not in the archive",
        ),
        (
            envelope(
                item(17, HostResource="ovf:/file/f"),
                files='<File id="f" href="a" compression="gzip"/>',
            ),
            "compressed",
        ),
        (
            envelope(
                item(17, HostResource="ovf:/disk/d"), '<Disk diskId="d" fileRef="g" capacity="1"/>'
            ),
            "which it lacks",
        ),
    ],
)
def test_descriptors_that_cannot_be_used(text, told):
    with pytest.raises(ImageError, match=told):
        parse(text)
