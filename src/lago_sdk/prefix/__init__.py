"""The handle of a prefix: one environment, brought up and down together."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from lago_sdk.errors import PrefixExistsError, PrefixNotFoundError
from lago_sdk.events import ignore
from lago_sdk.mapping import NamedMapping
from lago_sdk.net import Net
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.vm import VM

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import TracebackType

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import VMPlan
    from lago_sdk.service.observing.status import PrefixStatus
    from lago_sdk.service.store import PrefixRecord
    from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.prefix.exports import PrefixExports
from lago_sdk.prefix.forks import PrefixForks
from lago_sdk.prefix.guests import PrefixGuests
from lago_sdk.prefix.power import PrefixPower
from lago_sdk.prefix.snapshots import PrefixSnapshots
from lago_sdk.prefix.tools import PrefixTools


class Prefix(PrefixPower, PrefixGuests, PrefixForks, PrefixExports, PrefixSnapshots, PrefixTools):
    """One environment: all VMs and nets of one spec, and the directory they live in.

    Make one with `create`, get one that is there with `open` or `find`. As a context manager
    a prefix that was made by `create` is destroyed at the end of the block, unless
    ``keep=True``. Methods may be called from several threads; processes lock each other out.
    """

    @classmethod
    def create(
        cls,
        spec: PrefixSpec | Mapping[str, object] | str | os.PathLike[str],
        *,
        workdir: str | os.PathLike[str] | None = None,
        name: str = "default",
        config: Config | None = None,
        observer: Observer | None = None,
        keep: bool = False,
        ephemeral: bool = False,
        cache: bool = False,
    ) -> Self:
        """Make a prefix: check, plan and reserve; make keys, disks and seeds. Nothing runs yet.

        Args:
            spec: A `PrefixSpec`, a mapping of the same shape as an init file, or the path of one.
            workdir: Directory of prefixes, made where it is absent; ``.lago`` when ``None``.
            name: Name of the prefix in it.
            config: Settings; `Config.load` when ``None``.
            observer: Told of everything that happens.
            keep: Leave the prefix in place at the end of a ``with`` block.
            ephemeral: End everything that runs when this process ends, even by ``kill -9``;
                private hosts only.
            cache: Have its first `start` bring it up provisioned: deploy scripts included, and
                from a checkpoint where a lab like it was brought up before. See docs/cache.md.

        Raises:
            SpecError: The spec is wrong; carries every problem.
            PrefixExistsError: The workdir has a prefix of that name.
            HostError: This machine cannot run it; nothing was made.
            TemplateError: A template cannot be had; nothing was made.
        """
        from lago_sdk.config import Config
        from lago_sdk.connect import connect, decide_record
        from lago_sdk.spec.prefix import PrefixSpec
        from lago_sdk.workdir import Workdir

        checked = PrefixSpec.of(spec)
        settings = config or Config.load()
        uuid = uuid4().hex
        record = decide_record(settings, uuid=uuid, ephemeral=ephemeral, cache=cache)
        home = Workdir.create(settings.workdir if workdir is None else workdir)
        layout = PrefixLayout(home.path / name)
        if layout.uuid.exists() and not layout.initialized.exists():
            with suppress(PrefixNotFoundError):  # somebody else removed it
                cls.open_path(layout.path, config=settings).remove_unfinished()
        home.make_place(name)
        world = connect(
            layout, uuid=uuid, record=record, config=settings, observer=observer or ignore
        )
        prefix = cls(layout, world, uuid=uuid, keep=keep)
        try:
            prefix._fill(checked, record)
        except BaseException:
            home.remove_if_empty()
            raise
        home.adopt(name)
        return prefix

    @classmethod
    def load_export(
        cls,
        directory: str | os.PathLike[str],
        *,
        workdir: str | os.PathLike[str] | None = None,
        name: str = "default",
        config: Config | None = None,
        observer: Observer | None = None,
        keep: bool = False,
        ephemeral: bool = False,
    ) -> Self:
        """Make a prefix of an export, with the same VMs, disks and addresses.

        All of the export is checked first, by the digests that are in it; it names nothing
        outside of itself but templates, whose digests are checked too. Disks are copies: the
        export is not needed afterwards.

        Args:
            directory: What `export` wrote.
            workdir: As for `create`.
            name: As for `create`.
            config: As for `create`.
            observer: As for `create`.
            keep: As for `create`.
            ephemeral: As for `create`.

        Raises:
            ExportError: It is no export, is damaged or truncated, or wants more of this machine
                than an export may; nothing was made.
            TemplateError: A template that it needs cannot be had; nothing was made.
            ImageError: A template that it needs is another one here; nothing was made.
            LagoError: As `create`.
        """
        from lago_sdk.config import Config
        from lago_sdk.connect import open_export_tools
        from lago_sdk.service.exporting.load import load_export

        settings = config or Config.load()
        tools = open_export_tools(settings, observer or ignore)
        return cls.create(
            load_export(Path(directory).resolve(), tools),
            workdir=workdir,
            name=name,
            config=settings,
            observer=observer,
            keep=keep,
            ephemeral=ephemeral,
        )

    @classmethod
    def open(
        cls,
        workdir: str | os.PathLike[str] | None = None,
        name: str = "current",
        *,
        config: Config | None = None,
        observer: Observer | None = None,
    ) -> Self:
        """Return the prefix *name* of a workdir (looked for from here upwards when ``None``).

        Raises:
            PrefixNotFoundError: There is none; the hint names those there are.
        """
        from lago_sdk.workdir import Workdir

        home = Workdir.find() if workdir is None else Workdir.open(workdir)
        return cls.open_path(home.get_path(name), config=config, observer=observer)

    @classmethod
    def find(
        cls,
        start_path: str | os.PathLike[str] = ".",
        *,
        config: Config | None = None,
        observer: Observer | None = None,
    ) -> Self:
        """Return the current prefix of the workdir at *start_path* or above it.

        Raises:
            PrefixNotFoundError: There is none.
        """
        from lago_sdk.workdir import Workdir

        home = Workdir.find(start_path)
        return cls.open_path(home.get_path("current"), config=config, observer=observer)

    def _fill(self, spec: PrefixSpec, record: PrefixRecord) -> None:
        """Make everything that a new prefix consists of."""
        with self._lock("create the prefix"):
            if self._layout.uuid.exists():
                # Somebody else made it here while we waited for the lock: it is theirs.
                message = f"there is a prefix {self.name!r} in {str(self.path.parent)!r} already"
                raise PrefixExistsError(message, hint="take another name, or try again")
            try:
                self._store.create(record, spec, self._uuid)
                self._complete(spec)
            except BaseException:
                self._discard()
                raise

    def __enter__(self) -> Self:
        """Return the prefix itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Destroy the prefix, or only let go of it where it is kept."""
        if self._keep:
            self.close()
        else:
            self.destroy()

    @cached_property
    def vms(self) -> Mapping[str, VM]:
        """Its VMs by name, in the order of the init file."""
        return NamedMapping({vm.name: self._make_vm(vm) for vm in self.plan.vms}, self.plan.get_vm)

    def _make_vm(self, plan: VMPlan) -> VM:
        """Return a handle of the type that the spec names; a plain one where nobody knows that."""
        kind = plan.spec.vm_type
        if kind in {None, "default"}:
            return VM(self, plan)
        from lago_sdk.service.plugged.vm_types import find_vm_type

        return find_vm_type(self, plan, VM, self._world) or VM(self, plan)

    @cached_property
    def nets(self) -> Mapping[str, Net]:
        """Its nets by name, in the order of the init file."""
        return NamedMapping({net.name: Net(self, net) for net in self.plan.nets}, self.plan.get_net)

    def destroy(self) -> None:
        """Remove the prefix for good: VMs, nets, host, leases and files. Idempotent."""
        from lago_sdk.workdir import Workdir

        if not self._layout.path.exists():
            return
        with self.changing("destroy", mends=False):
            self._remove()
        Workdir(self._layout.path.parent).remove_if_empty()

    def status(self) -> PrefixStatus:
        """Return what the prefix looks like now; one bulk call to libvirt."""
        from lago_sdk.service.observing.status import prefix_status

        return prefix_status(
            self.plan,
            path=str(self.path),
            name=self.name,
            world=self._world,
            host_name=self.record.host,
            is_complete=self.is_complete,
            snapshots=self.snapshots.values(),
            checkpoint=self.checkpoint,
        )
