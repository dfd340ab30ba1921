"""A real libvirtd takes every golden file, and QEMU starts with what is rendered for it.

libvirt's schemas do not know what its QEMU driver refuses; this does.
"""

import shutil
import tempfile
import uuid
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import libvirt
import pytest

from functional.sandbox import is_inside
from lago_sdk.adapters.hosts.private import PrivateHost
from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor
from lago_sdk.adapters.process import run
from lago_sdk.config import AccelChoice
from lago_sdk.render.domain import render_domain
from lago_sdk.render.network import render_network
from lago_sdk.state import NetState
from unit.render.libvirt_cases import NETS_OF_VMS, NO_ADDRESSES, PREFIX_UUID, TCG, VMS

pytestmark = [pytest.mark.functional, pytest.mark.root_only, pytest.mark.private_only]

GOLDEN = Path(__file__).parents[1] / "unit" / "render" / "golden"
DOMAINS = sorted(path.stem for path in GOLDEN.glob("domain-*.xml"))
NETWORKS = sorted(path.stem for path in GOLDEN.glob("network-*.xml"))

NEEDS_MORE = {"kernel", "efi", "efi-secure-boot", "tpm", "share"}
"""What needs files or programs beside QEMU to start."""
STARTED = sorted(key for key, (_, facts) in VMS.items() if facts == TCG and key not in NEEDS_MORE)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    if is_inside():
        yield "qemu:///system"
        return
    base = Path(tempfile.mkdtemp(prefix="lago-"))
    host = PrivateHost(
        uuid=uuid.uuid4().hex,
        prefix_path=tmp_path_factory.mktemp("prefix"),
        run_dir=base / "run",
        cache_dir=tmp_path_factory.mktemp("cache"),
        accel=AccelChoice.TCG,
    )
    host.start()
    yield host.uri
    host.end()
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def hypervisor(uri):
    hypervisor = LibvirtHypervisor(uri)
    yield hypervisor
    hypervisor.close()


@pytest.fixture(scope="module")
def connection(uri, hypervisor):
    hypervisor.version()
    connection = libvirt.open(uri)
    yield connection
    connection.close()


def refusal(name, connection):
    """What libvirt says where this machine lacks what the golden file asks for."""
    if name == "domain-share-read-only" and connection.getLibVersion() < 11_000_000:
        return "does not yet support read-only"
    if name == "domain-tpm" and shutil.which("swtpm") is None:
        return "TPM version '2.0' is not supported"
    return None


@pytest.mark.parametrize("name", DOMAINS)
def test_libvirt_takes_the_domain(name, connection):
    # Where KVM does not work libvirt does not know its type; all else is the same.
    xml = (GOLDEN / f"{name}.xml").read_text().replace('type="kvm"', 'type="qemu"')
    refused = refusal(name, connection)
    if refused is not None:
        with pytest.raises(libvirt.libvirtError, match=refused):
            connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        return
    domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        assert PREFIX_UUID in domain.XMLDesc()
    finally:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


@pytest.mark.parametrize("name", NETWORKS)
def test_libvirt_starts_the_network(name, hypervisor):
    xml = (GOLDEN / f"{name}.xml").read_text()
    network = ET.fromstring(xml).findtext("name")
    try:
        for _again in range(2):
            hypervisor.create_network(xml)
            assert hypervisor.list_networks(PREFIX_UUID) == {network: NetState.UP}
    finally:
        hypervisor.remove_network(network)
    assert hypervisor.find_network(network) is None


@pytest.fixture(scope="module")
def nets(hypervisor):
    nets = {
        "lan": NETS_OF_VMS["lan"],
        "jumbo": attrs.evolve(NETS_OF_VMS["jumbo"], **NO_ADDRESSES),
    }
    for net in nets.values():
        hypervisor.create_network(render_network(net, prefix_uuid=PREFIX_UUID))
    yield nets
    for net in nets.values():
        hypervisor.remove_network(net.network)


def create_images(xml):
    for disk in ET.fromstring(xml).iterfind("devices/disk"):
        path = Path(disk.find("source").get("file"))
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["qemu-img", "create", "-q", "-f", disk.find("driver").get("type"), str(path), "1M"])


@pytest.mark.private_only
@pytest.mark.parametrize("key", STARTED)
def test_qemu_starts_with_the_devices(key, tmp_path, connection, hypervisor, nets):
    vm, facts = VMS[key]
    xml = render_domain(
        vm,
        nets=nets,
        facts=facts,
        root=str(tmp_path),
        prefix_uuid=PREFIX_UUID,
        display_password="secret78",
        public_keys=["ssh-ed25519 AAAA lago"],
    )
    xml = xml.replace("/srv/", f"{tmp_path}/")
    create_images(xml)
    (tmp_path / "logs").mkdir()
    domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    try:
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        (info,) = hypervisor.list_domains(PREFIX_UUID)
        assert info.state.is_active
    finally:
        hypervisor.remove_domain(vm.domain)
    assert hypervisor.list_domains(PREFIX_UUID) == ()
