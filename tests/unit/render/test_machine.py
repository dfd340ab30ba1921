"""What a running domain is made of, and its XML made fit for another process."""

from lago_sdk.render.machine import MachineDisk, clean_machine, move_machine, parse_machine

XML = """<domain type='qemu' id='3'>
  <name>web</name>
  <metadata><l:prefix xmlns:l="urn:lago-sdk:prefix:1" uuid="1" name="web" path="/a/lab"/></metadata>
  <resource><partition>/machine</partition></resource>
  <os>{os}<type>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver type='qcow2'/><source file='/a/lab/images/x'/>
      <backingStore/></disk>
    <disk type='file' device='disk'><driver type='raw'/><source file='/a/laboratory/y'/></disk>
    <disk type='file' device='disk'><source file='/seed'/><readonly/></disk>
    <disk type='file' device='cdrom'/>
    <disk type='network' device='disk'><driver type='raw'/></disk>
    {device}
  </devices>
</domain>"""


def xml(os="", device=""):
    return XML.format(os=os, device=device)


def test_a_chain_is_never_kept():
    cleaned = clean_machine(xml())
    assert "backingStore" not in cleaned
    assert "partition" not in cleaned
    assert "id=" not in cleaned.splitlines()[0]
    assert clean_machine(cleaned) == cleaned


def test_other_devices_are_another_machine():
    assert clean_machine(xml()) != clean_machine(xml(device="<hostdev/>"))
    assert clean_machine(xml()) == clean_machine(xml().replace("id='3'", "id='9'"))


def test_paths_move_with_the_prefix():
    moved = move_machine(xml(), "/b")
    assert "/b/images/x" in moved
    assert "/a/laboratory/y" in moved
    assert 'path="/b"' in moved
    assert move_machine(xml(), "/a/lab") == xml()
    assert move_machine("<domain/>", "/b") == "<domain/>"


def test_what_decides_how_it_can_be_kept():
    machine = parse_machine(xml())
    assert machine.disks == (
        MachineDisk(path="/a/lab/images/x", format="qcow2"),
        MachineDisk(path="/a/laboratory/y", format="raw"),
        MachineDisk(path=None, format="raw"),
    )
    assert not machine.has_firmware_store
    assert parse_machine(xml(os="<loader type='pflash'/>")).has_firmware_store
    share = "<filesystem><target dir='here'/></filesystem>"
    assert parse_machine(xml(device=share)).shares == ("here",)
    assert parse_machine(xml(device="<hostdev/>")).host_devices == 1
