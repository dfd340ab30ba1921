"""The handle of one VM."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.errors import VMNotRunningError
from lago_sdk.handles.service import Service
from lago_sdk.service.reach import find_address
from lago_sdk.service.scripts import list_script_command
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import NicPlan, VMPlan
    from lago_sdk.prefix import Prefix
    from lago_sdk.results import CommandResult
    from lago_sdk.spec.vm import VMSpec


class VM:
    """One VM of a prefix. Get it from ``prefix.vms``; it stays valid while the prefix does."""

    def __init__(self, prefix: Prefix, plan: VMPlan) -> None:
        self._prefix = prefix
        self._plan = plan

    def __repr__(self) -> str:
        """``<VM web 192.168.200.2>``."""
        return f"<VM {self.name} {self.ip or 'without address'}>"

    @property
    def name(self) -> str:
        """Its name: the key under ``domains`` and the guest's host name."""
        return self._plan.name

    @property
    def spec(self) -> VMSpec:
        """What was asked."""
        return self._plan.spec

    @property
    def plan(self) -> VMPlan:
        """What was decided."""
        return self._plan

    @property
    def ip(self) -> str | None:
        """Its address on the management net; ``None`` when it has none."""
        return find_address(self._plan)

    @property
    def ips(self) -> tuple[str, ...]:
        """All its planned addresses, in the order of its nics, IPv4 before IPv6."""
        found = ((nic.ip, nic.ip6) for nic in self._plan.nics)
        return tuple(str(address) for pair in found for address in pair if address is not None)

    @property
    def nics(self) -> tuple[NicPlan, ...]:
        """Its network interfaces."""
        return self._plan.nics

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups in the Ansible inventory."""
        return self.spec.groups

    @property
    def distro(self) -> str | None:
        """Distribution in the guest, where the spec or the template tells."""
        return self._plan.distro

    @property
    def state(self) -> VMState:
        """Its state now; ``DOWN`` when it is not defined on its host.

        Raises:
            HostError: libvirtd does not answer.
        """
        return self._prefix.get_state(self.name)

    @property
    def console_log(self) -> Path:
        """File with everything that the guest wrote to its console."""
        return self._prefix.path / self._plan.console_log

    def start(self) -> None:
        """Start it with the nets it needs, and wait until it answers ssh."""
        self._prefix.start([self.name])

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

    def ssh(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in the guest and wait for its end.

        Args:
            command: Text for the guest's shell, or a list of arguments, which is quoted.
            input: What the command reads; nothing when ``None``.
            timeout: Seconds it may take; for ever when ``None``.
            env: Variables set for the command.

        Returns:
            Its exit code and output; ``.check()`` raises when the code is not 0.

        Raises:
            VMNotRunningError: The VM is not running.
            WaitTimeoutError: No end within *timeout*.
            SSHError: The connection failed.
        """
        text = command if isinstance(command, str) else shlex.join(command)
        data = input.encode() if isinstance(input, str) else input
        return self._prefix.reach(self.name).run(text, input=data, timeout=timeout, env=env)

    def ssh_script(
        self,
        path: str | Path,
        *arguments: str,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a script of the host in the guest, by the interpreter of its ``#!`` line.

        Args:
            path: The script.
            arguments: Its arguments.
            timeout: Seconds it may take.
            env: Variables set for it.

        Raises:
            OSError: The script cannot be read.
            VMNotRunningError: The VM is not running.
        """
        script = Path(path).read_bytes()
        command = [*list_script_command(script), *arguments]
        return self.ssh(command, input=script, timeout=timeout, env=env)

    def interactive_ssh(self, command: str | None = None) -> int:
        """Attach this terminal to a shell (or *command*) in the guest; returns its exit code."""
        return self._prefix.reach(self.name).interact(command)

    def service(self, name: str) -> Service:
        """Return the handle of a service of the guest; nothing is asked yet.

        Args:
            name: A unit of systemd, an init script, or ``CONTAINER`` or ``CONTAINER/UNIT``.
        """
        return Service(name, self._plan, run=self.ssh, context=self._prefix.context)

    def wait_for_ssh(self, *, timeout: float | None = None) -> float:
        """Wait until a login works; returns the seconds it took.

        Args:
            timeout: Seconds to wait at most; ``boot_time_sec`` of the spec when ``None``.

        Raises:
            VMNotRunningError: It is not running, so that waiting is no use.
            WaitTimeoutError: With the stage reached and the console's last lines.
        """
        return self._prefix.wait_for_ssh(self.name, timeout=timeout)

    def require_running(self) -> None:
        """Return when the VM runs.

        Raises:
            VMNotRunningError: It does not; the message tells its state.
        """
        state = self.state
        if state not in {VMState.RUNNING, VMState.BLOCKED}:
            raise VMNotRunningError(
                self.name,
                f"{self.name!r} is not running: it is {state.value}",
                hint=f"start it: lagoctl start {self.name}",
            )
