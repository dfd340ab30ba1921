"""What every part of a prefix's handle works with."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lago_sdk.errors import LagoError, PrefixNotFoundError, WorkdirError
from lago_sdk.events import Note, ignore
from lago_sdk.service.guests.connections import Guests
from lago_sdk.service.journal import Journal
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.marks import has_pending, note_change

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.plan.models import Plan
    from lago_sdk.ports import Guest
    from lago_sdk.service.checkpoints.model import CheckpointUse
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.observing.status import Observation
    from lago_sdk.service.store import PrefixRecord, PrefixStore
    from lago_sdk.service.world import World
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.state import NetState, VMState


class PrefixBase:
    """What a prefix is, where it lies, and how it is changed."""

    def __init__(self, layout: PrefixLayout, world: World, *, uuid: str, keep: bool = True) -> None:
        """Use `create`, `open` or `find`."""
        self._layout = layout
        self._uuid = uuid
        self._world = world
        self._journal = Journal(layout.journal)
        self._keep = keep
        self._guests = Guests(world.open_guest, layout)

    def __repr__(self) -> str:
        """``<Prefix default at /home/ann/lab/default>``."""
        return f"<Prefix {self.name} at {self.path}>"

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

    def close(self) -> None:
        """Close all connections; what runs keeps running."""
        self._guests.forget()
        self._world.host.close()

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

    def _complete(self, spec: PrefixSpec, *, may_adopt: bool = True) -> None:
        """Bring the creation to its end, from wherever it stands.

        Args:
            spec: What was asked.
            may_adopt: Whether a lab that uses the cache looks for a checkpoint.
        """
        from lago_sdk.service.making.create import create_prefix

        if self._layout.fork_mark.exists():
            raise WorkdirError(
                f"the prefix {self.name!r} is unfinished: its fork was cut off",
                hint="remove it: lagoctl destroy; and fork again",
            )
        create = create_prefix
        if self.record.cache:
            from lago_sdk.service.checkpoints.create import create_cached

            create = partial(create_cached, may_adopt=may_adopt)
        self.__dict__["plan"] = create(
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
        from lago_sdk.service.power.stop import destroy_prefix

        try:
            destroy_prefix(self._uuid, layout=self._layout, world=self._world)
        except LagoError as error:
            message = f"not everything was removed: {error}; destroy the prefix to try again"
            self._world.observe(Note(message=message, warning=True))

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
            from lago_sdk.service.observing.remote import observe_remote

            return observe_remote([found], self._world)[found.name].state
        return self._observe().state(found.name)

    def get_net_state(self, net: str) -> NetState:
        """Return the state of the net *net* now."""
        return self._observe().nets[self.plan.get_net(net).name]

    def _observe(self) -> Observation:
        from lago_sdk.service.observing.status import observe

        return observe(self.plan, self._world.host)

    def reach(self, vm: str) -> Guest:
        """Return the connection to the guest of *vm*, which is opened at first use.

        Raises:
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.guests.reach import check_reachable

        check_reachable(self.plan.get_vm(vm), self.context)
        return self._guests.get(self.plan.get_vm(vm))

    def _lock(self, purpose: str) -> AbstractContextManager[None]:
        return self._world.files.lock(
            self._layout.lock, timeout=self._world.config.lock_timeout, purpose=purpose
        )

    def replan(self, purpose: str, change: Callable[[PrefixContext], Plan]) -> None:
        """Change what is decided: *change* does it, and returns the plan from then on."""
        with self.changing(purpose):
            self._leave_cache()
            self._forget_plan()  # another process may have changed it
            self._store.save_plan(change(self.context))
            self._forget_plan()

    @property
    def checkpoint(self) -> CheckpointUse | None:
        """What it has to do with the cache of checkpoints; ``None`` where that is nothing."""
        from lago_sdk.service.checkpoints.model import find_use

        return find_use(self._layout) if self.record.cache else None

    def _leave_cache(self, *, comes_up: bool = False) -> None:
        """Have a lab that was not started yet do without the cache: it is going to be changed.

        Args:
            comes_up: It is going to be started in part, and is like any other from then on.
        """
        use = self.checkpoint
        if use is None or not use.stage.is_new:
            return
        from lago_sdk.service.checkpoints.model import CheckpointStage, CheckpointUse, write_use

        if use.stage is CheckpointStage.FROZEN:
            self._rebuild(may_adopt=False)
        if use.stage is not CheckpointStage.STARTED:
            stage = CheckpointStage.BOOTED if comes_up else CheckpointStage.BARRED
            write_use(self._layout, CheckpointUse(stage=stage), self._world.files)

    def _rebuild(self, *, may_adopt: bool) -> None:
        """Make a lab that uses the cache anew; it was not started yet."""
        self._guests.forget()
        for path in (self._layout.initialized, self._layout.checkpoint, self._layout.plan):
            path.unlink(missing_ok=True)
        self._forget_plan()
        self._complete(self.spec, may_adopt=may_adopt)
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

    def _remove(self) -> None:
        from lago_sdk.service.power.stop import destroy_prefix

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
