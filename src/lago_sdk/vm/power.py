"""A VM is started, stopped, paused and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.vm.base import VMBase

if TYPE_CHECKING:
    from lago_sdk.service.snapshots.model import RevertReport, SnapshotReport


class VMPower(VMBase):
    """Verbs that change whether and from where a VM runs."""

    def start(self, *, wait: bool = True) -> None:
        """Start it with the nets it needs, and wait until it answers ssh.

        Args:
            wait: Whether to wait; where not, return once it is powered on.
        """
        self._prefix.start([self.name], wait=wait)

    def stop(self) -> None:
        """Power it off at once; nets that nobody else uses are stopped too."""
        self._prefix.stop([self.name])

    def shutdown(self, *, timeout: float | None = None) -> None:
        """Ask the guest to power off and wait until it has.

        Args:
            timeout: Seconds it may take; the setting ``shutdown_timeout`` when ``None``.

        Raises:
            VMError: It did not in time.
        """
        self._prefix.shutdown([self.name], timeout=timeout)

    def reboot(
        self, *, timeout: float | None = None, wait: bool = True, force: bool = False
    ) -> None:
        """Have the guest reboot, and wait until ssh answers on the new system.

        Args:
            timeout: Seconds it may take to power off; the setting ``shutdown_timeout`` when
                ``None``.
            wait: Whether to wait for ssh; where not, return once it boots.
            force: Press the reset button instead of asking.

        Raises:
            VMNotRunningError: It does not run, or is paused.
            VMError: It did not power off in time; it runs on.
            WaitTimeoutError: It did not answer after its reboot.
        """
        self._prefix.reboot([self.name], timeout=timeout, wait=wait, force=force)

    def reset(self, *, wait: bool = True) -> None:
        """Press the reset button: what the guest has not written to its disk is lost.

        Args:
            wait: Whether to wait until ssh answers on the new system.

        Raises:
            VMNotRunningError: It is off.
            WaitTimeoutError: It did not answer after its reset.
        """
        self._prefix.reboot([self.name], wait=wait, force=True)

    def suspend(self) -> None:
        """Pause it: its memory stays, its processors stand still; nothing where it is paused.

        Raises:
            VMNotRunningError: It is off.
        """
        self._prefix.suspend([self.name])

    def resume(self) -> None:
        """Let it run on, whoever paused it; nothing where it runs.

        Raises:
            VMNotRunningError: It is off.
            VMError: Its disk still cannot be written, so that it was paused again.
        """
        self._prefix.resume([self.name])

    def create_snapshot(self, name: str, *, memory: bool = True) -> SnapshotReport:
        """Keep its state, to go back to; other VMs may have a snapshot of that name as well.

        Args:
            name: As for `lago_sdk.Prefix.create_snapshots`.
            memory: Keep its memory where it runs.

        Raises:
            SnapshotExistsError: It has a snapshot of that name.
            SnapshotError: It cannot be kept; it runs on.
        """
        return self._prefix.create_snapshots(name, [self.name], memory=memory)

    def revert_snapshot(self, name: str) -> RevertReport:
        """Go back to a snapshot; other VMs are left alone, and may know more than it does then.

        Raises:
            SnapshotNotFoundError: It has no snapshot of that name.
            SnapshotError: It cannot be gone back to; says why.
        """
        return self._prefix.revert_snapshots(name, [self.name])
