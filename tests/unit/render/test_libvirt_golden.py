"""The XML of each device and each kind of net, kept in files and held against libvirt's schemas."""

from pathlib import Path

import pytest
from libvirt_cases import NETS, NETS_OF_VMS, PREFIX_UUID, ROOT, VMS
from lxml import etree

from lago_sdk.render.domain import render_domain
from lago_sdk.render.network import render_network

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = Path("/usr/share/libvirt/schemas")


def render_all():
    for key, (vm, facts) in VMS.items():
        yield (
            f"domain-{key}.xml",
            render_domain(
                vm,
                nets=NETS_OF_VMS,
                facts=facts,
                root=ROOT,
                prefix_uuid=PREFIX_UUID,
                display_password="secret78",
                public_keys=["ssh-ed25519 AAAA lago"],
            ),
        )
    for key, net in NETS.items():
        yield f"network-{key}.xml", render_network(net, prefix_uuid=PREFIX_UUID)


RENDERED = dict(render_all())


@pytest.mark.parametrize("name", RENDERED)
def test_the_xml_is_the_golden_one(name, request):
    golden = GOLDEN / name
    if request.config.getoption("--update-golden"):
        golden.write_text(RENDERED[name])
    assert golden.is_file(), "new: run pytest with --update-golden and look at the file"
    assert RENDERED[name] == golden.read_text()


def test_there_is_no_golden_file_without_a_case():
    assert {path.name for path in GOLDEN.glob("*.xml")} == set(RENDERED)


@pytest.fixture(scope="module")
def schemas():
    assert SCHEMAS.is_dir(), "libvirt's schemas are not installed: apt-get install libvirt0"
    kinds = ("domain", "network")
    return {kind: etree.RelaxNG(etree.parse(SCHEMAS / f"{kind}.rng")) for kind in kinds}


@pytest.mark.parametrize("name", RENDERED)
def test_libvirts_schema_accepts_the_xml(name, schemas):
    schemas[name.partition("-")[0]].assertValid(etree.fromstring(RENDERED[name]))


def test_rendering_again_gives_the_same_text():
    assert dict(render_all()) == RENDERED
