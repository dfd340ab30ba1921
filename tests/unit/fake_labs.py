"""Prefixes on fakes, for tests of services and handles."""

from lago_sdk.service.journal import Journal
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.making.create import create_prefix
from lago_sdk.service.store import PrefixRecord, PrefixStore
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.state import VMState
from lago_sdk.testing import FakeFiles, make_prefix, make_world

DISK = {"type": "template", "name": "root", "dev": "vda", "template_name": "tiny"}
LAN = {"type": "nat", "management": True, "dhcp": {"start": 100, "end": 254}}


RECORD = PrefixRecord(host="private", run_dir="/run/x")


def vm(*nets, **changes):
    """A VM with one disk, on *nets* (``lan`` when none are named)."""
    nics = [{"net": net} for net in nets or ("lan",)]
    return {"memory": 64, "nics": nics, "disks": [DISK], **changes}


def lab_spec(**domains):
    """VMs by name (two on one net when none are given) and the nets they are on."""
    domains = domains or {"web": vm(), "db": vm()}
    names = {nic["net"] for domain in domains.values() for nic in domain["nics"]}
    nets = {name: LAN if name == "lan" else {"type": "isolated"} for name in sorted(names)}
    return {"domains": domains, "nets": nets}


def checked(spec):
    return PrefixSpec.of(spec)


def make_lab(tmp_path, spec=None, *, world=None, name="default", keep=False):
    """A prefix on fakes, and its world."""
    world = world or make_world()
    spec = lab_spec() if spec is None else spec
    return make_prefix(spec, tmp_path / "lab", name=name, world=world, keep=keep), world


def states(prefix):
    """State of each VM of *prefix*, by name."""
    return {status.name: status.state for status in prefix.status().vms}


def running(prefix):
    """Names of the VMs of *prefix* that run."""
    return {name for name, state in states(prefix).items() if state is VMState.RUNNING}


def nets_up(prefix):
    """Names of the nets of *prefix* that are up."""
    return {net.name for net in prefix.status().nets if net.state.is_active}


def domain(prefix, name):
    """Name of the libvirt domain of the VM *name*."""
    return prefix.plan.get_vm(name).domain


def network(prefix, name):
    """Name of the libvirt network of the net *name*."""
    return prefix.plan.get_net(name).network


class Killed(BaseException):
    """The process ends here."""


class Creation:
    """A prefix whose creation can be tried again and again."""

    def __init__(self, path, spec):
        path.mkdir()
        self.spec = checked(spec)
        self.layout = PrefixLayout(path)
        self.store = PrefixStore(self.layout, FakeFiles())
        self.uuid = self.store.create(RECORD, self.spec)

    def run(self, world):
        return create_prefix(
            self.spec,
            uuid=self.uuid,
            layout=self.layout,
            world=world,
            journal=Journal(self.layout.journal),
            save_plan=self.store.save_plan,
            stored_plan=self.store.find_plan(),
        )

    def images(self):
        return {path.name for path in self.layout.images.iterdir()}
