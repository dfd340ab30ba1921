"""OVF descriptors: rendered, compared with a golden file, and read back."""

from pathlib import Path
from xml.etree import ElementTree as ET

from fake_labs import lab_spec, vm

from lago_sdk.codec.ovf import parse_manifest, parse_ovf
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.render.ovf import ApplianceDisk, render_manifest, render_ovf
from lago_sdk.spec.prefix import PrefixSpec

GOLDEN = Path(__file__).parent / "golden" / "appliance.ovf"
DISKS = (
    ApplianceDisk(file="web-disk1.vmdk", file_size=1234, capacity=269484032),
    ApplianceDisk(file="web-disk2.vmdk", file_size=66048, capacity=1 << 30),
)


def make():
    spec = PrefixSpec.of(lab_spec(web=vm("lan", "back", memory=512, vcpu=3)))
    return plan_prefix(spec, uuid="0" * 32).vms[0]


def test_a_descriptor_is_what_it_was(pytestconfig):
    text = render_ovf(make(), DISKS)
    if pytestconfig.getoption("--update-golden"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_our_own_reader_understands_it():
    machine = parse_ovf(render_ovf(make(), DISKS).encode(), source="x")
    assert (machine.memory, machine.vcpu) == (512, 3)
    assert [(disk.file, disk.size) for disk in machine.disks] == [
        (disk.file, disk.capacity) for disk in DISKS
    ]


def test_items_are_in_the_order_of_the_schema_and_numbered():
    root = ET.fromstring(render_ovf(make(), DISKS))
    items = [item for item in root.iter() if item.tag.endswith("}Item")]
    names = [[child.tag.rpartition("}")[2] for child in item] for item in items]
    assert all(found == sorted(found) for found in names)
    numbers = [child.text for item in items for child in item if child.tag.endswith("}InstanceID")]
    assert numbers == [str(number) for number in range(1, len(items) + 1)]


def test_a_manifest_is_read_back():
    text = render_manifest({"web.ovf": "ab" * 32, "disk (1).vmdk": "cd" * 32})
    assert parse_manifest(text.encode(), source="x") == {
        "web.ovf": ("sha256", "ab" * 32),
        "disk (1).vmdk": ("sha256", "cd" * 32),
    }
