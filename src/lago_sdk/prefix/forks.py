"""Independent copies of a prefix that runs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from lago_sdk.errors import LagoError, PrefixNotFoundError
from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.layout import PrefixLayout

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.service.forks.create import Seedling


class PrefixForks(PrefixBase):
    """Verbs that make forks."""

    def fork(self, name: str, snapshot: str | None = None) -> Self:
        """Make an independent prefix *name* in the same workdir that goes on from here.

        See `fork_many`.
        """
        (fork,) = self.fork_many((name,), snapshot)
        return fork

    def fork_many(self, names: Iterable[str], snapshot: str | None = None) -> tuple[Self, ...]:
        """Make independent prefixes in the same workdir that go on from what this one is now.

        Each has a private host of its own, with the same VMs, addresses, MACs, host keys and
        names, memory and disks; VMs that are off are off in it. When it returns, guests answer
        ssh, and their clocks are right. This prefix stands still for a moment and goes on; from
        then on none needs another. A failure leaves none of the forks.

        Args:
            names: Their names; at least one.
            snapshot: Go on from this snapshot of all VMs, which the forks have as well; from
                what the prefix is now when ``None``.

        Raises:
            HostError: The prefix is not on a private host, or none can be made.
            PrefixExistsError: A name is taken.
            SnapshotError: The memory of a VM cannot be kept, there is no such snapshot of all
                VMs, or there is no room for the forks; says why, and nothing was done.
            ExceptionGroup: Several forks failed.
        """
        from contextlib import ExitStack

        from lago_sdk.service.forks.clone import check_clonable, clone_prefix
        from lago_sdk.service.forks.create import check_forkable, fork_prefix
        from lago_sdk.service.forks.space import check_fork_space

        wanted = tuple(dict.fromkeys(names))
        if not wanted:
            raise LagoError("a fork needs a name", hint="prefix.fork('worker-1')")
        with self.changing("fork"), ExitStack() as stack:
            self._leave_cache()
            self._forget_plan()
            check_forkable(self.context)
            if snapshot is not None:
                check_clonable(self.context, snapshot)
            check_fork_space(self.context, len(wanted), snapshot)
            made: list[Self] = []
            try:
                for name in wanted:
                    made.append(self._make_fork(name))
                    stack.enter_context(made[-1].changing("fork the prefix"))
                seedlings = [fork.as_seedling() for fork in made]
                if snapshot is None:
                    fork_prefix(self.context, seedlings)
                else:
                    clone_prefix(self.context, seedlings, snapshot)
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
