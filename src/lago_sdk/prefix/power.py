"""A prefix is started, stopped and paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.prefix.base import PrefixBase
from lago_sdk.service.select import list_names

# Services are imported by the verbs that use them: `from lago_sdk import Prefix` stays cheap.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.service.power.start import StartReport


class PrefixPower(PrefixBase):
    """Verbs that change which VMs and nets run."""

    def start(self, vms: str | Iterable[str] | None = None, *, wait: bool = True) -> StartReport:
        """Start VMs (all for ``None``) and the nets they need; return when ssh answers.

        What runs already is left alone, and so is what is paused: see `resume`. A failure takes
        back what this call started. A private host whose libvirtd has died is mended.

        The first start of a lab that uses the cache is of all VMs, and always waits: it restores
        a checkpoint, or boots, runs the deploy scripts, and keeps one. Where it names VMs, the
        lab is like any other from then on.

        Args:
            vms: Names of VMs.
            wait: Whether to wait until guests answer; where not, return once they are powered on.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host cannot be brought up.
            WaitTimeoutError: A guest does not answer within its ``boot_time_sec``.
            ExceptionGroup: Several VMs failed.
        """
        from lago_sdk.service.power.start import Starter

        with self.changing("start"):
            if not self.is_complete:
                self._complete(self.spec)
            names = list_names(vms)
            report = self._start_first() if names is None else None
            if report is None:
                self._leave_cache(comes_up=True)
                report = Starter(self.context, wait=wait).start(names)
                self._note_started(report.started)
            self._journal.clear()
            return report

    def _start_first(self) -> StartReport | None:
        """Start a lab that uses the cache for the first time; ``None`` for any other."""
        use = self.checkpoint
        if use is None or not use.stage.is_new:
            return None
        from lago_sdk.service.checkpoints.start import CachedLab, start_first

        self._forget_plan()  # another process may have made it anew
        lab = CachedLab(
            get_context=lambda: self.context,
            make_anew=lambda: self._rebuild(may_adopt=False),
            look_again=lambda: self._rebuild(may_adopt=True),
        )
        return start_first(lab, use)

    def _note_started(self, vms: Iterable[str]) -> None:
        """Note that VMs have booted: what deploy scripts started in them runs no more."""
        use, booted = self.checkpoint, set(vms)
        if use is None or booted.isdisjoint(use.deployed):
            return
        import attrs

        from lago_sdk.service.checkpoints.model import write_use

        left = tuple(name for name in use.deployed if name not in booted)
        write_use(self._layout, attrs.evolve(use, deployed=left), self._world.files)

    def stop(self, vms: str | Iterable[str] | None = None) -> tuple[str, ...]:
        """Power off VMs (all for ``None``) at once; returns those that ran.

        Nets that no other VM uses are stopped, and a private host on which nothing runs ends.
        A private host whose libvirtd has died ends with all VMs when all are to stop.

        Raises:
            VMNotFoundError: There is no VM of one of the names.
            HostError: The host's libvirtd does not answer.
            HypervisorError: A VM cannot be stopped; the others are.
        """
        from lago_sdk.service.power.stop import stop_vms

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
        from lago_sdk.service.power.stop import shut_down_vms

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
            wait: Whether to wait for ssh; where not, return once the guests boot.
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
        from lago_sdk.service.power.reboot import Rebooter

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
        from lago_sdk.service.power.suspend import suspend_vms

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
        from lago_sdk.service.power.suspend import resume_vms

        with self.changing("resume"):
            return resume_vms(self.context, list_names(vms))

    def start_net(self, net: str) -> bool:
        """Start a net without any VM; returns whether it was down.

        Raises:
            NetNotFoundError: There is no net of that name.
            HostError: The host cannot be brought up.
            HypervisorError: libvirt refuses the net.
        """
        from lago_sdk.service.power.start import Starter

        found = self.plan.get_net(net)
        with self.changing("start a net"):
            return Starter(self.context).start_net(found)

    def stop_net(self, net: str) -> bool:
        """Stop a net that no VM uses; returns whether it was up.

        Raises:
            NetNotFoundError: There is no net of that name.
            NetInUseError: VMs that run are plugged into it; names them.
        """
        from lago_sdk.service.power.nets import stop_net

        found = self.plan.get_net(net)
        with self.changing("stop a net"):
            return stop_net(self.context, found)
