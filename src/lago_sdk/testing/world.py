"""All fakes wired into a world, and prefixes in it.

::

    from lago_sdk.testing import make_prefix, make_world

    def test_the_suite_retries_a_failing_probe(tmp_path):
        world = make_world()
        world.guests["web"].answer("systemctl is-active nginx", code=3)
        with make_prefix("LagoInitFile", tmp_path / "lab", world=world) as prefix:
            prefix.start()
            assert probe(prefix.vms["web"]) == "down after 3 tries"
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from lago_sdk.config import Config
from lago_sdk.events import Note, StageStarted
from lago_sdk.ports import HostKind
from lago_sdk.service.world import World
from lago_sdk.testing.clock import FakeClock
from lago_sdk.testing.files import FakeFiles
from lago_sdk.testing.fingerprints import FakeFingerprints
from lago_sdk.testing.guest import FakeGuest
from lago_sdk.testing.host import FakeHost
from lago_sdk.testing.images import FakeImages, FakePacker, FakeTemplates
from lago_sdk.testing.keys import FakeKeys
from lago_sdk.testing.leases import FakeLeases
from lago_sdk.testing.media import FakeArchives, FakeBuilder, FakeDownload, FakeSeeds
from lago_sdk.testing.offline import FakeDisks
from lago_sdk.testing.plugins import FakeOutside, FakePlugins
from lago_sdk.testing.relays import FakeRelays

if TYPE_CHECKING:
    import os

    from lago_sdk.events import Event
    from lago_sdk.ports import SSHTarget
    from lago_sdk.prefix import Prefix
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.testing.hypervisor import FakeHypervisor

    AnySpec: TypeAlias = PrefixSpec | Mapping[str, object] | str | os.PathLike[str]

_LOCK_SECONDS = 0.1
"""Nobody in a test is worth a longer wait."""
_URI = "qemu:///system"


class FakeGuests:
    """The guests of all VMs, by name; each is made when it is first spoken of.

    Attributes:
        targets: How the library would log in, by VM, as far as it wanted to.
    """

    def __init__(self) -> None:
        self.targets: dict[str, SSHTarget] = {}
        self._guests: dict[str, FakeGuest] = {}
        self._mutex = threading.Lock()

    def __getitem__(self, vm: str) -> FakeGuest:
        """Return the guest of the VM *vm*."""
        with self._mutex:
            return self._guests.setdefault(vm, FakeGuest())

    def __call__(self, target: SSHTarget) -> FakeGuest:
        """Open the connection to a guest; see ``World.open_guest``."""
        self.targets[target.vm] = target
        return self[target.vm]


class EventLog:
    """An `lago_sdk.events.Observer` that keeps what it is told.

    Attributes:
        events: All of it, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        """Keep *event*."""
        self.events.append(event)

    @property
    def stages(self) -> tuple[tuple[str, str], ...]:
        """Stages that began, with their subjects."""
        begun = (event for event in self.events if isinstance(event, StageStarted))
        return tuple((event.stage, event.subject) for event in begun)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should look at."""
        notes = (event for event in self.events if isinstance(event, Note))
        return tuple(note.message for note in notes if note.warning)


@attrs.frozen(kw_only=True)
class FakeWorld(World):
    """A world whose ports are fakes, by their own types; see `make_world`."""

    host: FakeHost
    images: FakeImages
    packer: FakePacker
    disks: FakeDisks
    builders: Mapping[str, FakeBuilder]
    archives: FakeArchives
    download: FakeDownload
    seeds: FakeSeeds
    templates: FakeTemplates
    leases: FakeLeases
    keys: FakeKeys
    fingerprints: FakeFingerprints
    clock: FakeClock
    open_guest: FakeGuests
    dial_outside: FakeOutside
    relays: FakeRelays
    plugins: FakePlugins
    observe: EventLog

    @property
    def hypervisor(self) -> FakeHypervisor:
        """The hypervisor of its host, which need not be up."""
        return self.host.fake_hypervisor

    @property
    def guests(self) -> FakeGuests:
        """Its guests by the names of their VMs."""
        return self.open_guest

    @property
    def log(self) -> EventLog:
        """What the library told."""
        return self.observe


def make_world(
    *,
    host: FakeHost | None = None,
    templates: FakeTemplates | None = None,
    leases: FakeLeases | None = None,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
    cpus: int = 4,
) -> FakeWorld:
    """Wire a fake of every port.

    Args:
        host: Where prefixes run; a private host of its own when ``None``. Two worlds that are
            given the same host (and leases) are two prefixes on one machine.
        templates: Where templates come from; one that has any when ``None``.
        leases: Reservations of subnets on a host that is not private.
        config: Settings; the defaults with a lock timeout of a tenth of a second when ``None``.
        environ: Variables that paths of the init file may use.
        cpus: Processors of the host.

    To replace a port by something else: ``attrs.evolve(make_world(), files=...)``.
    """
    store = templates or FakeTemplates()
    return FakeWorld(
        config=config or Config(lock_timeout=_LOCK_SECONDS),
        host=host or FakeHost(),
        images=FakeImages(store),
        packer=FakePacker(),
        disks=FakeDisks(),
        builders={"virt-customize": FakeBuilder()},
        archives=FakeArchives(),
        download=FakeDownload(),
        seeds=FakeSeeds(),
        templates=store,
        leases=leases or FakeLeases(),
        files=FakeFiles(),
        keys=FakeKeys(),
        fingerprints=FakeFingerprints(),
        clock=FakeClock(),
        open_guest=FakeGuests(),
        dial_outside=FakeOutside(),
        relays=FakeRelays(),
        plugins=FakePlugins(),
        observe=EventLog(),
        find_missing=dict,
        mark_used=store.mark_image,
        find_barrier=lambda path: None,  # noqa: ARG005 - called by that name
        environ=dict(environ or {}),
        proxy=("/fake/proxy",),
        cpus=cpus,
    )


def make_prefix(
    spec: AnySpec,
    workdir: str | os.PathLike[str],
    *,
    name: str = "default",
    world: World | None = None,
    keep: bool = False,
) -> Prefix:
    """Make a prefix in a world of fakes; as `Prefix.create`, which makes it in the real one.

    Args:
        spec: A `PrefixSpec`, a mapping of the same shape as an init file, or the path of one.
        workdir: Directory of prefixes, a real one; made where it is absent.
        name: Name of the prefix in it.
        world: Where it is; that of `make_world` when ``None``.
        keep: Leave the prefix in place at the end of a ``with`` block.

    Raises:
        SpecError: The spec is wrong; carries every problem.
        PrefixExistsError: The workdir has a prefix of that name.
        LagoError: Whatever the fakes were told to raise; nothing was made.
    """
    from lago_sdk.prefix import Prefix
    from lago_sdk.service.journal import Journal
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.making.create import create_prefix
    from lago_sdk.service.power.stop import destroy_prefix
    from lago_sdk.service.store import PrefixRecord, PrefixStore
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.workdir import Workdir

    checked = PrefixSpec.of(spec)
    world = world or make_world()
    home = Workdir.create(workdir)
    layout = PrefixLayout(home.make_place(name))
    store = PrefixStore(layout, world.files)
    is_private = world.host.kind is HostKind.PRIVATE
    record = PrefixRecord(
        host="private" if is_private else _URI, run_dir=str(Path("/fake-run", name))
    )
    uuid = store.create(record, checked)
    try:
        create_prefix(
            checked,
            uuid=uuid,
            layout=layout,
            world=world,
            journal=Journal(layout.journal),
            save_plan=store.save_plan,
        )
    except BaseException:
        destroy_prefix(uuid, layout=layout, world=world)
        home.remove_if_empty()
        raise
    home.adopt(name)
    return Prefix(layout, world, uuid=uuid, keep=keep)
