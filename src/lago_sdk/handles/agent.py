"""The handle of the guest agent of one VM."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lago_sdk.errors import AgentError, VMNotRunningError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports.agent import AgentState
    from lago_sdk.results import CommandResult
    from lago_sdk.service.context import PrefixContext
    from lago_sdk.service.guests.agent import GuestInterface, GuestOS


class Agent:
    """The QEMU guest agent of a VM. Get it from ``vm.agent``.

    It is a program in the guest (package ``qemu-guest-agent``) that obeys over a port of the VM
    and needs no network. All methods but `state` and `is_alive` raise `AgentError` where it is
    not there, does not answer in time or refuses, and `VMNotRunningError` where the VM is off.
    """

    def __init__(self, vm: VMPlan, context: PrefixContext) -> None:
        from lago_sdk.service.guests.agent import AgentLink

        self._link = AgentLink(vm, context)

    def __repr__(self) -> str:
        """``<Agent of web>``."""
        return f"<Agent of {self._link.vm.name}>"

    @property
    def state(self) -> AgentState:
        """Whether somebody in the guest has opened the agent's port; asks only the hypervisor.

        Raises:
            VMNotRunningError: The VM's host is down.
        """
        return self._link.find_state()

    def ping(self) -> None:
        """Return when the agent answers; one that hangs is given up after some five seconds."""
        self._link.ping()

    def is_alive(self) -> bool:
        """Whether the agent answers."""
        try:
            self.ping()
        except (AgentError, VMNotRunningError):
            return False
        return True

    def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in the guest, as the user of the agent (root), and wait for its end.

        Args:
            command: Text for ``sh -c``, or a list of arguments.
            input: What the command reads; nothing when ``None``.
            timeout: Seconds it may take; for ever when ``None``. Then it is sent SIGTERM.
            env: Variables set for the command.

        Returns:
            Its exit code (128 + signal where a signal ended it) and output, of any size.

        Raises:
            CommandTimeoutError: No end within *timeout*; carries the output so far.
        """
        from lago_sdk.service.guests.agent_commands import run_command

        data = input.encode() if isinstance(input, str) else input
        return run_command(self._link, command, input=data, timeout=timeout, env=env)

    def read_file(self, path: str) -> bytes:
        """Return the content of a file in the guest."""
        from lago_sdk.service.guests.agent_files import read_file

        return read_file(self._link, path)

    def write_file(self, path: str, data: bytes | str, *, mode: int | None = None) -> None:
        """Replace the content of a file in the guest, or make it; its directory exists.

        Args:
            path: The file.
            data: Its new content; text is encoded as UTF-8.
            mode: Permission bits, set before anything is written. Without them a file that is
                there keeps its own, and a new one gets 0644.
        """
        from lago_sdk.service.guests.agent_files import write_file

        content = data.encode() if isinstance(data, str) else data
        write_file(self._link, path, content, mode=mode)

    def interfaces(self) -> tuple[GuestInterface, ...]:
        """Return the network interfaces as the guest sees them, with all their addresses."""
        from lago_sdk.service.guests.agent import list_interfaces

        return list_interfaces(self._link)

    def os_info(self) -> GuestOS:
        """Return what the guest tells of its operating system."""
        from lago_sdk.service.guests.agent import get_os

        return get_os(self._link)

    def freeze(self) -> int:
        """Have the guest write everything to its disks and hold all further writes.

        Whatever writes in the guest hangs until `thaw`: prefer `frozen`.

        Returns:
            The number of file systems that were frozen.
        """
        from lago_sdk.service.guests.agent import freeze

        return freeze(self._link)

    def thaw(self) -> int:
        """Let the guest write again; returns the number of file systems that were frozen."""
        from lago_sdk.service.guests.agent import thaw

        return thaw(self._link)

    @contextmanager
    def frozen(self) -> Iterator[int]:
        """Keep the guest's file systems frozen for the block; they are thawed in any case.

        While they are frozen the agent does nothing but thaw.
        """
        from lago_sdk.service.guests.agent import frozen

        with frozen(self._link) as count:
            yield count

    def set_time(self, when: datetime | None = None) -> None:
        """Set the guest's clock; to this machine's time when *when* is ``None``.

        A *when* without a time zone is local time.
        """
        from lago_sdk.service.guests.agent import set_time

        moment = datetime.now(UTC) if when is None else when
        set_time(self._link, int(moment.timestamp() * 1_000_000) * 1000)

    def shutdown(self, *, reboot: bool = False) -> None:
        """Have the guest power itself off, or reboot; return when it has begun to.

        ``vm.shutdown()`` does it without an agent, waits for the end, and stops nets that
        nobody uses any more.
        """
        self._link.shut_down(reboot=reboot)
