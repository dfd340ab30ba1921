"""The handle of a prefix: one environment, brought up and down together."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from uuid import uuid4

from lago_sdk.errors import LagoError, PrefixExistsError, PrefixNotFoundError, WorkdirError
from lago_sdk.events import Note, ignore
from lago_sdk.mapping import NamedMapping
from lago_sdk.net import Net
from lago_sdk.service.guests import Guests
from lago_sdk.service.journal import Journal
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.marks import has_pending, note_change
from lago_sdk.service.select import list_names
from lago_sdk.vm import VM

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.ports import Guest
    from lago_sdk.render.ansible import InventoryFormat
    from lago_sdk.service.collect import CollectReport
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.deploy import DeployReport
    from lago_sdk.service.forks.create import Seedling
    from lago_sdk.service.snapshots.model import RevertReport, Snapshot, SnapshotReport
    from lago_sdk.service.start import StartReport
    from lago_sdk.service.status import Observation, PrefixStatus
    from lago_sdk.service.store import PrefixRecord, PrefixStore
    from lago_sdk.service.usage import VMLoad, VMUsage
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.state import NetState, VMState


class Prefix:
    """One environment: all VMs and nets of one spec, and the directory they live in.

    Make one with `create`, get one that is there with `open` or `find`. As a context manager
    a prefix that was made by `create` is destroyed at the end of the block, unless
    ``keep=True``. Methods may be called from several threads; processes lock each other out.
    """

    def __init__(self, layout: PrefixLayout, world: World, *, uuid: str, keep: bool = True) -> None:
        """Use `create`, `open` or `find`."""
        self._layout = layout
        self._uuid = uuid
        self._world = world
        self._journal = Journal(layout.journal)
        self._keep = keep
        self._guests = Guests(world.open_guest, layout)

    # -- making and finding ----------------------------------------------------------------

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
        record = decide_record(settings, uuid=uuid, ephemeral=ephemeral)
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

    @classmethod
    def open_path(
        cls,
        path: str | os.PathLike[str],
        *,
        config: Config | None = None,
        observer: Observer | None = None,
    ) -> Self:
        """Return the prefix whose directory is *path*.

        Raises:
            WorkdirError: The directory is not a prefix.
        """
        from lago_sdk.config import Config
        from lago_sdk.connect import connect, local_files
        from lago_sdk.service.store import PrefixStore

        layout = PrefixLayout(Path(path).absolute())
        store = PrefixStore(layout, local_files())
        uuid = store.get_uuid()
        world = connect(
            layout,
            uuid=uuid,
            record=store.get_record(),
            config=config or Config.load(),
            observer=observer or ignore,
        )
        return cls(layout, world, uuid=uuid)

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

    def _complete(self, spec: PrefixSpec) -> None:
        """Bring the creation to its end, from wherever it stands."""
        from lago_sdk.service.create import create_prefix

        if self._layout.fork_mark.exists():
            raise WorkdirError(
                f"the prefix {self.name!r} is unfinished: its fork was cut off",
                hint="remove it: lagoctl destroy; and fork again",
            )
        self.__dict__["plan"] = create_prefix(
            spec,
            uuid=self._uuid,
            layout=self._layout,
            world=self._world,
            journal=self._journal,
            save_plan=self._store.save_plan,
            stored_plan=self._store.find_plan(),
        )

    def _discard(self) -> None:
        """Remove what a failed creation left; the failure itself is being raised already."""
        from lago_sdk.service.stop import destroy_prefix

        try:
            destroy_prefix(self._uuid, layout=self._layout, world=self._world)
        except LagoError as error:
            message = f"not everything was removed: {error}; destroy the prefix to try again"
            self._world.observe(Note(message=message, warning=True))

    # -- what it is ------------------------------------------------------------------------

    def __repr__(self) -> str:
        """``<Prefix default at /home/ann/lab/default>``."""
        return f"<Prefix {self.name} at {self.path}>"

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

    @property
    def name(self) -> str:
        """Its name in the workdir."""
        return self._layout.path.name

    @property
    def path(self) -> Path:
        """Its directory; absolute."""
        return self._layout.path

    @property
    def uuid(self) -> str:
        """32 hex digits that nothing else has."""
        return self._uuid

    @property
    def is_complete(self) -> bool:
        """Whether its creation came to an end; `start` finishes one that was cut off."""
        return self._layout.initialized.exists()

    @cached_property
    def _store(self) -> PrefixStore:
        from lago_sdk.service.store import PrefixStore

        return PrefixStore(self._layout, self._world.files)

    @cached_property
    def record(self) -> PrefixRecord:
        """Where it runs and when it was made."""
        return self._store.get_record()

    @cached_property
    def spec(self) -> PrefixSpec:
        """What was asked."""
        return self._store.get_spec()

    @cached_property
    def plan(self) -> Plan:
        """What was decided.

        Raises:
            WorkdirError: The creation was cut off before there was a plan.
        """
        plan = self._store.find_plan()
        if plan is None:
            raise WorkdirError(
                f"the prefix {self.name!r} is unfinished: its creation was cut off",
                hint="finish it: lagoctl start; or remove it: lagoctl destroy",
            )
        return plan

    @cached_property
    def vms(self) -> Mapping[str, VM]:
        """Its VMs by name, in the order of the init file."""
        return NamedMapping({vm.name: self._make_vm(vm) for vm in self.plan.vms}, self.plan.get_vm)

    def _make_vm(self, plan: VMPlan) -> VM:
        """Return a handle of the type that the spec names; a plain one where nobody knows that."""
        kind = plan.spec.vm_type
        if kind in {None, "default"}:
            return VM(self, plan)
        from lago_sdk.service.vm_types import find_vm_type

        return find_vm_type(self, plan, VM, self._world) or VM(self, plan)

    @cached_property
    def nets(self) -> Mapping[str, Net]:
        """Its nets by name, in the order of the init file."""
        return NamedMapping({net.name: Net(self, net) for net in self.plan.nets}, self.plan.get_net)

    # -- verbs -----------------------------------------------------------------------------

    def start(self, vms: str | Iterable[str] | None = None, *, wait: bool = True) -> StartReport:
        """Start VMs (all for ``None``) and the nets they need; return when ssh answers.

        What runs already is left alone, and so is what is paused: see `resume`. A failure takes
        back what this call started. A private host whose libvirtd has died is mended.

        Args:
            vms: Names of VMs.
            wait: Whether to wait until guests answer; where not, return once they are powered on.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host cannot be brought up.
            WaitTimeoutError: A guest does not answer within its ``boot_time_sec``.
            ExceptionGroup: Several VMs failed.
        """
        from lago_sdk.service.start import Starter

        with self.changing("start"):
            if not self.is_complete:
                self._complete(self.spec)
            report = Starter(self.context, wait=wait).start(list_names(vms))
            self._journal.clear()
            return report

    def stop(self, vms: str | Iterable[str] | None = None) -> tuple[str, ...]:
        """Power off VMs (all for ``None``) at once; returns those that ran.

        Nets that no other VM uses are stopped, and a private host on which nothing runs ends.
        A private host whose libvirtd has died ends with all VMs when all are to stop.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host's libvirtd does not answer.
            HypervisorError: A VM cannot be stopped; the others are.
        """
        from lago_sdk.service.stop import stop_vms

        with self.changing("stop"):
            names = list_names(vms)
            self._guests.forget(names)
            return stop_vms(self.context, names)

    def shutdown(
        self,
        vms: str | Iterable[str] | None = None,
        *,
        reboot: bool = False,
        timeout: float | None = None,
    ) -> tuple[str, ...]:
        """Ask guests (all for ``None``) to power off and wait; returns those that ran.

        Args:
            vms: Names of VMs.
            reboot: Have them start again: as `reboot`.
            timeout: Seconds a guest may take; the setting ``shutdown_timeout`` when ``None``.

        Raises:
            VMNotRunningError: A VM is paused, and could not obey; none was asked.
            VMError: A guest did not power off in time; it runs on.
            ExceptionGroup: Several did not.
        """
        from lago_sdk.service.stop import shut_down_vms

        if reboot:
            return self.reboot(vms, timeout=timeout)
        with self.changing("shut down"):
            names = list_names(vms)
            seconds = self._world.config.shutdown_timeout if timeout is None else timeout
            stopped = shut_down_vms(self.context, names, timeout=seconds)
            self._guests.forget(names)
            return stopped

    def reboot(
        self,
        vms: str | Iterable[str] | None = None,
        *,
        timeout: float | None = None,
        wait: bool = True,
        force: bool = False,
    ) -> tuple[str, ...]:
        """Reboot VMs (all that run for ``None``); return when ssh answers on the new system.

        Guests are asked to power off and are started again; their network and address stay.

        Args:
            vms: Names of VMs.
            timeout: Seconds a guest may take to power off; the setting ``shutdown_timeout`` when
                ``None``. The boot that follows may take ``boot_time_sec``.
            wait: Whether to wait at all; where not, return once guests were asked.
            force: Press the reset button instead of asking: what a guest has not written to its
                disk is lost. A paused VM runs on after it.

        Returns:
            The names of those that were rebooted.

        Raises:
            VMNotRunningError: A VM that is named does not run, or is paused; none was asked.
            VMError: A guest did not power off in time; it runs on.
            WaitTimeoutError: A guest did not answer after its reboot.
            ExceptionGroup: Several VMs failed.
        """
        from lago_sdk.service.reboot import Rebooter

        with self.changing("reboot"):
            seconds = self._world.config.shutdown_timeout if timeout is None else timeout
            rebooter = Rebooter(self.context, timeout=seconds, wait=wait, force=force)
            return rebooter.reboot(list_names(vms))

    def suspend(self, vms: str | Iterable[str] | None = None) -> tuple[str, ...]:
        """Pause VMs (all that run for ``None``); returns those that ran.

        Their memory stays, their processors stand still; nothing is written to disk.

        Raises:
            VMNotRunningError: A VM that is named is off; none was paused.
            HypervisorError: A VM cannot be paused; the others are.
        """
        from lago_sdk.service.suspend import suspend_vms

        with self.changing("suspend"):
            return suspend_vms(self.context, list_names(vms))

    def resume(self, vms: str | Iterable[str] | None = None) -> tuple[str, ...]:
        """Let VMs run on (all that are paused for ``None``); returns those that were paused.

        It does not matter who paused them: `suspend`, an error of a disk, a watchdog. Guests
        that have gone to sleep by themselves are woken.

        Raises:
            VMNotRunningError: A VM that is named is off; none was resumed.
            VMError: A disk of a VM still cannot be written, so that it was paused again.
            HypervisorError: A VM cannot be resumed; the others are.
        """
        from lago_sdk.service.suspend import resume_vms

        with self.changing("resume"):
            return resume_vms(self.context, list_names(vms))

    def start_net(self, net: str) -> bool:
        """Start a net without any VM; returns whether it was down.

        Raises:
            NetNotFoundError: There is no net of that name.
            HostError: The host cannot be brought up.
            HypervisorError: libvirt refuses the net.
        """
        from lago_sdk.service.start import Starter

        found = self.plan.get_net(net)
        with self.changing("start a net"):
            return Starter(self.context).start_net(found)

    def stop_net(self, net: str) -> bool:
        """Stop a net that no VM uses; returns whether it was up.

        Raises:
            NetNotFoundError: There is no net of that name.
            NetInUseError: VMs that run are plugged into it; names them.
        """
        from lago_sdk.service.nets import stop_net

        found = self.plan.get_net(net)
        with self.changing("stop a net"):
            return stop_net(self.context, found)

    def deploy(
        self, vms: str | Iterable[str] | None = None, *, timeout: float | None = None
    ) -> DeployReport:
        """Run the deploy scripts of VMs (all for ``None``) in their guests.

        The scripts of a VM run in their order, in the login directory of its ssh user; VMs are
        deployed at the same time. Each line of output is an `lago_sdk.Output` event, and all of
        it is kept in ``logs/<vm>.deploy.log``. VMs without scripts are left alone.

        Args:
            vms: Names of VMs.
            timeout: Seconds each script may take; for ever when ``None``.

        Raises:
            VMNotRunningError: A VM that has scripts is not running; nothing was run.
            DeployError: A script failed; the later ones of its VM were not run.
            CommandTimeoutError: A script did not end in time.
            ExceptionGroup: Several VMs failed.
        """
        from lago_sdk.service.deploy import deploy_vms

        return deploy_vms(self.context, list_names(vms), timeout=timeout)

    def collect_artifacts(
        self,
        output_dir: str | os.PathLike[str],
        vms: str | Iterable[str] | None = None,
        *,
        ignore_missing: bool = True,
        timeout: float | None = 600.0,
    ) -> CollectReport:
        """Fetch the ``artifacts`` of VMs (all for ``None``) into directories called like the VMs.

        They come over ssh from guests that run, and from their disks, which are only read, from
        those that are off. A ``/`` in a path is a ``_`` in its name here. VMs are collected from at
        the same time; what fails with one is in the report, and does not keep the others.

        Args:
            output_dir: Where to; what is there already is put aside, as ``<name>.<time>``.
            vms: Names of VMs.
            ignore_missing: Only tell of paths that a guest lacks.
            timeout: Seconds that a guest may take to send everything; ``None`` waits for ever.

        Returns:
            What came from where; its ``check()`` raises where something failed.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            LagoError: The output cannot go there; nothing was collected.
            PathNotFoundError: Paths are missing, and not ignored; all else was collected.
            ExceptionGroup: That and other failures of several VMs, where missing paths are not
                ignored.
        """
        from lago_sdk.service.collect import collect

        return collect(
            self.context,
            list_names(vms),
            Path(output_dir),
            ignore_missing=ignore_missing,
            timeout=timeout,
        )

    def destroy(self) -> None:
        """Remove the prefix for good: VMs, nets, host, leases and files. Idempotent."""
        from lago_sdk.workdir import Workdir

        if not self._layout.path.exists():
            return
        with self.changing("destroy", mends=False):
            self._remove()
        Workdir(self._layout.path.parent).remove_if_empty()

    def _remove(self) -> None:
        from lago_sdk.service.stop import destroy_prefix

        self._guests.forget()
        destroy_prefix(self._uuid, layout=self._layout, world=self._world)

    def remove_unfinished(self) -> None:
        """Remove what a creation left that was cut off; a prefix that is complete stays.

        Raises:
            LockedError: Somebody is still creating it.
        """
        with self.changing("remove the unfinished prefix"):
            if not self.is_complete:
                self._remove()

    def status(self) -> PrefixStatus:
        """Return what the prefix looks like now; one bulk call to libvirt."""
        from lago_sdk.service.status import prefix_status

        return prefix_status(
            self.plan,
            path=str(self.path),
            name=self.name,
            world=self._world,
            host_name=self.record.host,
            is_complete=self.is_complete,
            snapshots=self.snapshots.values(),
        )

    def usage(self, vms: str | Iterable[str] | None = None) -> tuple[VMUsage, ...]:
        """Return what VMs (all for ``None``) have used since they were started.

        One bulk call to libvirt; VMs of other providers are left out.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host's libvirtd does not answer.
        """
        from lago_sdk.service.select import select_vms
        from lago_sdk.service.usage import read_usage

        return read_usage(self.context, select_vms(self.plan, list_names(vms)))

    def watch_usage(
        self,
        interval: float = 1.0,
        vms: str | Iterable[str] | None = None,
        *,
        wait: Callable[[float], object] | None = None,
    ) -> Iterator[tuple[VMLoad, ...]]:
        """Tell how much VMs do, over and over: rates between two looks.

        Args:
            interval: Seconds between two looks; the first rates come after one.
            vms: Names of VMs; all for ``None``.
            wait: Waits for so many seconds; may raise to end it. Sleeps when ``None``.

        Raises:
            LagoError: The interval is none.
            VMNotFoundError: There is no VM of one of the names.
        """
        from lago_sdk.service.usage import check_interval, watch_usage

        check_interval(interval)
        names = list_names(vms)
        sleep = wait or self._world.clock.sleep
        return watch_usage(lambda: self.usage(names), sleep, interval)

    def close(self) -> None:
        """Close all connections; what runs keeps running."""
        self._guests.forget()
        self._world.host.close()

    # -- forks -----------------------------------------------------------------------------

    def fork(self, name: str) -> Self:
        """Make an independent prefix *name* in the same workdir that goes on from here.

        See `fork_many`.
        """
        (fork,) = self.fork_many((name,))
        return fork

    def fork_many(self, names: Iterable[str]) -> tuple[Self, ...]:
        """Make independent prefixes in the same workdir that go on from what this one is now.

        Each has a private host of its own, with the same VMs, addresses, MACs, host keys and
        names, memory and disks; VMs that are off are off in it. When it returns, guests answer
        ssh, and their clocks are right. This prefix stands still for a moment and goes on; from
        then on none needs another. A failure leaves none of the forks.

        Args:
            names: Their names; at least one.

        Raises:
            HostError: The prefix is not on a private host, or none can be made.
            PrefixExistsError: A name is taken.
            SnapshotError: The memory of a VM cannot be kept; says why, and nothing was done.
            ExceptionGroup: Several forks failed.
        """
        from contextlib import ExitStack

        from lago_sdk.service.forks.create import check_forkable, fork_prefix

        wanted = tuple(dict.fromkeys(names))
        if not wanted:
            raise LagoError("a fork needs a name", hint="prefix.fork('worker-1')")
        with self.changing("fork"), ExitStack() as stack:
            self._forget_plan()
            check_forkable(self.context)
            made: list[Self] = []
            try:
                for name in wanted:
                    made.append(self._make_fork(name))
                    stack.enter_context(made[-1].changing("fork the prefix"))
                fork_prefix(self.context, [fork.as_seedling() for fork in made])
            except BaseException:
                for fork in made:
                    fork._discard()  # noqa: SLF001 - a prefix of our own
                raise
        return tuple(made)

    def _make_fork(self, name: str) -> Self:
        """Make the directory of a fork, which is a prefix from then on; nothing is in it yet."""
        import attrs

        from lago_sdk.connect import connect
        from lago_sdk.workdir import Workdir

        config, observer = self._world.config, self._world.observe
        uuid = uuid4().hex
        home = Workdir(self.path.parent)
        layout = PrefixLayout(home.path / name)
        if layout.uuid.exists() and not layout.initialized.exists():
            with suppress(PrefixNotFoundError):  # somebody else removed it
                type(self).open_path(layout.path, config=config).remove_unfinished()
        home.make_place(name)
        record = attrs.evolve(self.record, run_dir=str(config.run_dir / uuid[:8]))
        world = connect(layout, uuid=uuid, record=record, config=config, observer=observer)
        fork = type(self)(layout, world, uuid=uuid)
        world.files.write_atomic(layout.fork_mark, f"{self.path}\n")
        fork._store.create(record, self.spec, uuid)  # noqa: SLF001 - a prefix of our own
        return fork

    def as_seedling(self) -> Seedling:
        """Return what services make a fork of, where this is one that is being made."""
        from lago_sdk.service.forks.create import Seedling

        return Seedling(
            uuid=self._uuid,
            layout=self._layout,
            save_plan=self._store.save_plan,
            make_context=lambda: self.context,
        )

    # -- snapshots -------------------------------------------------------------------------

    @property
    def snapshots(self) -> Mapping[str, Snapshot]:
        """Its snapshots by name, oldest first."""
        from lago_sdk.service.snapshots.store import SnapshotStore

        store = SnapshotStore(self._layout, self._world.files)
        found = {snapshot.name: snapshot for snapshot in store.list_snapshots()}
        return NamedMapping(found, store.get)

    def create_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None, *, memory: bool = True
    ) -> SnapshotReport:
        """Keep the state of VMs (all for ``None``) at one moment, to go back to.

        VMs that run stand still meanwhile, all at once, and run on; those that are off are kept
        as they are on disk.

        Args:
            name: Its name; letters, digits, ``.``, ``_`` and ``-``.
            vms: Names of VMs.
            memory: Keep the memory of VMs that run; else their disks only, from which they boot
                when they are reverted. Their file systems are frozen meanwhile where a guest
                agent answers, and as after a power cut elsewhere.

        Raises:
            SnapshotExistsError: One of the VMs has a snapshot of that name.
            SnapshotError: The name is no name, a VM cannot be kept, or there is no space; the
                VMs run on, and nothing of the snapshot is left.
            VMNotFoundError: There is no VM of one of the names.
        """
        from lago_sdk.service.snapshots.create import create_snapshots

        with self.changing("snapshot", snapshots=True):
            return create_snapshots(self.context, name, list_names(vms), memory=memory)

    def revert_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None, *, if_dirty: bool = False
    ) -> RevertReport:
        """Go back to a snapshot: memory and disks are those of then.

        VMs that were off are started from it, those that have other devices by now begin anew.
        When it returns guests answer ssh and have their clocks set.

        Args:
            name: The snapshot.
            vms: Names of VMs; all that the snapshot has for ``None``.
            if_dirty: Do nothing where nothing has happened to the VMs since they were at it.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
            SnapshotError: It cannot be gone back to; says why.
        """
        from lago_sdk.service.snapshots.repair import repair
        from lago_sdk.service.snapshots.revert import revert_snapshots

        with self.changing("revert", mends=False, snapshots=True):
            repair(self.context, reverts=False)
            return revert_snapshots(self.context, name, list_names(vms), if_dirty=if_dirty)

    def delete_snapshots(
        self, name: str, vms: str | Iterable[str] | None = None
    ) -> tuple[str, ...]:
        """Forget a snapshot of VMs (all that it has for ``None``); returns their names.

        Others, and the VMs, stay as they are.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
        """
        from lago_sdk.service.snapshots.delete import delete_snapshots

        with self.changing("delete a snapshot", snapshots=True):
            return delete_snapshots(self.context, name, list_names(vms))

    def is_dirty(self, since: str = "clean", vms: str | Iterable[str] | None = None) -> bool:
        """Whether anything may have happened to VMs since they were at the snapshot *since*.

        Uses of a VM by any process of ours count (ssh, agent, console), and what its counters
        tell: writes to its disks, what it heard from the network, what it wrote to its console,
        and whether it was started, stopped or paused. What is not known counts as dirty.

        Args:
            since: The snapshot.
            vms: Names of VMs; all that the snapshot has for ``None``.

        Raises:
            SnapshotNotFoundError: There is no such snapshot, or it does not have one of the VMs.
        """
        return bool(self.list_changes(since, vms))

    def list_changes(
        self, since: str = "clean", vms: str | Iterable[str] | None = None
    ) -> Mapping[str, str]:
        """Return why VMs are dirty, in a few words each; those that are clean are left out.

        Args:
            since: The snapshot.
            vms: As for `is_dirty`.

        Raises:
            SnapshotNotFoundError: As for `is_dirty`.
        """
        from lago_sdk.service.snapshots.clean import list_changes
        from lago_sdk.service.snapshots.revert import select_kept

        kept = select_kept(self.context, self.snapshots[since], list_names(vms))
        return list_changes(self.context, since, kept)

    # -- other tools -----------------------------------------------------------------------

    @property
    def ssh_config(self) -> Path:
        """The file by which ``ssh -F FILE VM``, scp, rsync, Ansible and editors reach the VMs.

        It is written at creation and at each start; asking for it makes it right.

        Raises:
            LagoError: It cannot be written, or cannot hold the path of the prefix.
        """
        from lago_sdk.service.ssh_config import write_ssh_config

        write_ssh_config(self.plan, layout=self._layout, world=self._world)
        return self._layout.ssh_config

    def render_ssh_config(
        self, vms: str | Iterable[str] | None = None, *, relay: bool = False
    ) -> str:
        """Return the text of an ``ssh_config`` for VMs; all that have an address for ``None``.

        Args:
            vms: Names of VMs.
            relay: On a private host, have the proxy pass on bytes: for programs that know
                ``ProxyCommand`` and not ``ProxyUseFdpass``, such as libssh's.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            VMError: A VM that is named has no address.
        """
        from lago_sdk.service.ssh_config import get_ssh_config

        return get_ssh_config(
            self.plan, layout=self._layout, world=self._world, names=list_names(vms), relay=relay
        )

    def ansible_inventory(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        format: InventoryFormat = "ini",  # noqa: A002
    ) -> str:
        """Return the VMs that have an address as an Ansible inventory.

        Args:
            keys: Key paths into the description of a VM, for example ``"disks/0/type"``: each
                value found makes a group ``path=value``. Lago's ``vm-type``, ``groups`` and
                ``vm-provider`` for ``None``. In Ansible's names other characters than letters,
                digits and ``_`` are ``_``; ``lago_groups`` of each VM maps what they were.
            format: ``"ini"``, ``"yaml"``, or ``"json"``: what a dynamic inventory answers to
                ``--list``.

        Raises:
            LagoError: No VM has anything at one of the key paths.
        """
        from lago_sdk.service.inventory import Inventory

        return Inventory(self.context, keys).render(format)

    def ansible_host(self, vm: str, keys: str | Iterable[str] | None = None) -> str:
        """Return the variables of one VM as JSON: what a dynamic inventory answers to ``--host``.

        Args:
            vm: Its name.
            keys: As for `ansible_inventory`.

        Raises:
            VMNotFoundError: There is no VM of that name.
            VMError: It has no address.
        """
        from lago_sdk.service.inventory import Inventory

        return Inventory(self.context, keys).render_host(vm)

    def ansible_inventory_file(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        format: Literal["ini", "yaml"] = "ini",  # noqa: A002
    ) -> AbstractContextManager[Path]:
        """Have `ansible_inventory` in a file for the block: ``ansible-playbook -i FILE``.

        Args:
            keys: As for `ansible_inventory`.
            format: ``"ini"`` or ``"yaml"``.

        Raises:
            LagoError: No VM has anything at one of the key paths.
        """
        from lago_sdk.service.inventory import Inventory

        return Inventory(self.context, keys).write(format)

    # -- for the handles -------------------------------------------------------------------

    @cached_property
    def context(self) -> PrefixContext:
        """What services of its VMs and nets work with.

        Raises:
            WorkdirError: The creation was cut off before there was a plan.
        """
        from lago_sdk.service.context import PrefixContext

        return PrefixContext(
            plan=self.plan,
            layout=self._layout,
            world=self._world,
            journal=self._journal,
            guests=self._guests,
        )

    def get_state(self, vm: str) -> VMState:
        """Return the state of the VM *vm* now."""
        found = self.plan.get_vm(vm)
        if found.is_remote:
            from lago_sdk.service.remote import observe_remote

            return observe_remote([found], self._world)[found.name].state
        return self._observe().state(found.name)

    def get_net_state(self, net: str) -> NetState:
        """Return the state of the net *net* now."""
        return self._observe().nets[self.plan.get_net(net).name]

    def _observe(self) -> Observation:
        from lago_sdk.service.status import observe

        return observe(self.plan, self._world.host)

    def reach(self, vm: str) -> Guest:
        """Return the connection to the guest of *vm*, which is opened at first use.

        Raises:
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.reach import check_reachable

        check_reachable(self.plan.get_vm(vm), self.context)
        return self._guests.get(self.plan.get_vm(vm))

    def _lock(self, purpose: str) -> AbstractContextManager[None]:
        return self._world.files.lock(
            self._layout.lock, timeout=self._world.config.lock_timeout, purpose=purpose
        )

    def replan(self, purpose: str, change: Callable[[PrefixContext], Plan]) -> None:
        """Change what is decided: *change* does it, and returns the plan from then on."""
        with self.changing(purpose):
            self._forget_plan()  # another process may have changed it
            self._store.save_plan(change(self.context))
            self._forget_plan()

    def _forget_plan(self) -> None:
        for name in ("plan", "context"):
            self.__dict__.pop(name, None)

    @contextmanager
    def changing(
        self, purpose: str, *, mends: bool = True, snapshots: bool = False
    ) -> Iterator[None]:
        """Keep other processes from changing the prefix at the same time.

        Args:
            purpose: What is done, as a verb phrase: whoever waits for us is told.
            mends: First end what was done to snapshots by somebody who was killed.
            snapshots: The change is one of snapshots, which know themselves what stays clean.
        """
        if not self._layout.path.is_dir():
            raise PrefixNotFoundError(f"the prefix {str(self.path)!r} is gone")
        with self._lock(purpose):
            if not self._layout.uuid.exists():
                raise PrefixNotFoundError(f"the prefix {str(self.path)!r} is gone")
            if mends and has_pending(self._layout):
                from lago_sdk.service.snapshots.repair import repair, try_to_repair

                (repair if snapshots else try_to_repair)(self.context)
            if not snapshots:
                note_change(self._layout)
            yield
