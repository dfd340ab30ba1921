"""What is done to all guests of a prefix, and what is seen of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.select import list_names

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from lago_sdk.service.observing.usage import VMLoad, VMUsage
    from lago_sdk.service.provisioning.deploy import DeployReport
    from lago_sdk.service.seeing.collect import CollectReport


class PrefixGuests(PrefixBase):
    """Verbs that work on many guests at once."""

    def deploy(
        self,
        vms: str | Iterable[str] | None = None,
        *,
        timeout: float | None = None,
        again: bool = False,
    ) -> DeployReport:
        """Run the deploy scripts of VMs (all for ``None``) in their guests.

        The scripts of a VM run in their order, in the login directory of its ssh user; VMs are
        deployed at the same time. Each line of output is an `lago_sdk.Output` event, and all of
        it is kept in ``logs/<vm>.deploy.log``. VMs without scripts are left alone, and so are
        those whose scripts ran when they came up: see ``cache`` of `create`.

        Args:
            vms: Names of VMs.
            timeout: Seconds each script may take; for ever when ``None``.
            again: Run also the scripts that ran when their VMs came up.

        Raises:
            VMNotRunningError: A VM that has scripts is not running; nothing was run.
            DeployError: A script failed; the later ones of its VM were not run.
            CommandTimeoutError: A script did not end in time.
            ExceptionGroup: Several VMs failed.
        """
        from lago_sdk.service.provisioning.deploy import deploy_vms
        from lago_sdk.service.select import select_vms

        use = self.checkpoint
        done = frozenset(() if use is None or again else use.deployed)
        wanted = [vm.name for vm in select_vms(self.plan, list_names(vms))]
        report = deploy_vms(
            self.context, [name for name in wanted if name not in done], timeout=timeout
        )
        skipped = tuple(name for name in wanted if name in done)
        return attrs.evolve(report, skipped=skipped) if skipped else report

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
        from lago_sdk.service.seeing.collect import collect

        return collect(
            self.context,
            list_names(vms),
            Path(output_dir),
            ignore_missing=ignore_missing,
            timeout=timeout,
        )

    def usage(self, vms: str | Iterable[str] | None = None) -> tuple[VMUsage, ...]:
        """Return what VMs (all for ``None``) have used since they were started.

        One bulk call to libvirt; VMs of other providers are left out.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host's libvirtd does not answer.
        """
        from lago_sdk.service.observing.usage import read_usage
        from lago_sdk.service.select import select_vms

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
        from lago_sdk.service.observing.usage import check_interval, watch_usage

        check_interval(interval)
        names = list_names(vms)
        sleep = wait or self._world.clock.sleep
        return watch_usage(lambda: self.usage(names), sleep, interval)
