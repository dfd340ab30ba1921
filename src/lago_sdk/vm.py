"""The handle of one VM."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.handles.agent import Agent
from lago_sdk.handles.console import Console
from lago_sdk.handles.lines import GuestLines
from lago_sdk.handles.service import Service
from lago_sdk.handles.wait_for import WaitFor
from lago_sdk.results import Road
from lago_sdk.service.reach import find_address
from lago_sdk.service.scripts import list_script_command
from lago_sdk.service.shell_text import join_command

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from lago_sdk.plan.models import DiskPlan, NicPlan, VMPlan
    from lago_sdk.ports import Extraction, Readable, Skipped
    from lago_sdk.prefix import Prefix
    from lago_sdk.results import CommandResult
    from lago_sdk.service.capture import Capture, Target
    from lago_sdk.service.copies import HostPath
    from lago_sdk.service.displays import Graphics
    from lago_sdk.service.forward import Address
    from lago_sdk.service.screens import Screenshot
    from lago_sdk.service.snapshots.model import RevertReport, SnapshotReport
    from lago_sdk.service.usage import VMUsage
    from lago_sdk.spec.disk import DiskSpec
    from lago_sdk.spec.nic import NicSpec
    from lago_sdk.spec.vm import VMSpec
    from lago_sdk.state import VMState


class VM:
    """One VM of a prefix. Get it from ``prefix.vms``; it stays valid while the prefix does."""

    def __init__(self, prefix: Prefix, plan: VMPlan) -> None:
        self._prefix = prefix
        self._name = plan.name

    def __repr__(self) -> str:
        """``<VM web 192.168.200.2>``."""
        return f"<VM {self.name} {self.ip or 'without address'}>"

    @property
    def _plan(self) -> VMPlan:
        """What is decided now: disks and nics come and go."""
        return self._prefix.plan.get_vm(self._name)

    @property
    def name(self) -> str:
        """Its name: the key under ``domains`` and the guest's host name."""
        return self._name

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

    @cached_property
    def agent(self) -> Agent:
        """Its QEMU guest agent: commands, files and more without a network."""
        return Agent(self._plan, self._prefix.context)

    @cached_property
    def console(self) -> Console:
        """Its serial console: commands, text, and the log of all that was written there."""
        return Console(self._plan, self._prefix.context)

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
            wait: Whether to wait; where not, return once it was asked.
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

    def ssh(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run a command in the guest and wait for its end.

        Args:
            command: Text for the guest's shell, or a list of arguments, which is quoted.
            input: What the command reads: text, bytes or a binary file of any size, which is read
                while the command reads; nothing when ``None``.
            timeout: Seconds it may take; for ever when ``None``.
            env: Variables set for the command.
            on_output: Called with ``"out"`` or ``"err"`` and bytes, as output arrives.
            capture: Whether the result has the output; without, *on_output* alone gets it, and
                output of any size needs no memory.

        Returns:
            Its exit code and output; ``.check()`` raises when the code is not 0.

        Raises:
            VMNotRunningError: The VM is not running.
            CommandTimeoutError: No end within *timeout*.
            SSHError: The connection failed.
        """
        return self._prefix.reach(self.name).run(
            join_command(command),
            input=input.encode() if isinstance(input, str) else input,
            timeout=timeout,
            env=env,
            on_output=on_output,
            capture=capture,
        )

    def ssh_lines(
        self,
        command: str | Sequence[str],
        *,
        input: bytes | str | Readable | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> GuestLines:
        """Run a command in the guest and go through the lines of its output as they come.

        A command whose lines nobody wants any more is ended::

            for line in web.ssh_lines("tail -f /var/log/messages"):
                if "ready" in line:
                    break

        Args:
            command: Text for the guest's shell, or a list of arguments, which is quoted.
            input: What the command reads, as for `ssh`.
            timeout: Seconds it may take; for ever when ``None``.
            env: Variables set for the command.
            check: Whether a command that fails raises after its last line.

        Returns:
            An iterator over text without line ends. It can be closed, is a context manager, and
            has ``code`` and ``err`` at the end.

        Raises:
            VMNotRunningError: The VM is not running.
            SSHError: The connection failed.
        """
        guest = self._prefix.reach(self.name)
        data = input.encode() if isinstance(input, str) else input
        stream = guest.stream(join_command(command), input=data, timeout=timeout, env=env)
        return GuestLines(stream, check=check)

    def run(
        self,
        command: str | Sequence[str],
        *,
        via: Road | str = Road.AUTO,
        input: bytes | str | None = None,  # noqa: A002 - the name subprocess uses
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in the guest by whatever road leads there, and wait for its end.

        ``auto`` takes ssh where that answers within 5 s, else the guest agent where there is
        one, else a shell on the serial console: a guest whose network is broken can still be
        looked into. A command that was begun is never begun again on another road.

        Args:
            command: Text for the guest's shell, or a list of arguments.
            via: ``auto``, ``ssh``, ``agent`` or ``console``, or a `Road`.
            input: What the command reads; nothing when ``None``.
            timeout: Seconds it may take, once a road was found; for ever when ``None``, but 60 s
                on the console.
            env: Variables set for the command.

        Returns:
            Its exit code and output; its ``via`` is the road it took.

        Raises:
            VMNotRunningError: The VM is not running.
            VMError: No road leads there; tells what is wrong with each.
            CommandTimeoutError: No end within *timeout*.
        """
        from lago_sdk.service.roads import run

        data = input.encode() if isinstance(input, str) else input
        context = self._prefix.context
        return run(self._plan, context, command, via=via, input=data, timeout=timeout, env=env)

    def ssh_script(
        self,
        path: str | Path,
        *arguments: str,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[str, bytes], None] | None = None,
        capture: bool = True,
    ) -> CommandResult:
        """Run a script of the host in the guest, by the interpreter of its ``#!`` line.

        Args:
            path: The script.
            arguments: Its arguments.
            timeout: Seconds it may take.
            env: Variables set for it.
            on_output: Called with its output as it arrives, as for `ssh`.
            capture: Whether the result has the output, as for `ssh`.

        Raises:
            OSError: The script cannot be read.
            VMNotRunningError: The VM is not running.
        """
        script = Path(path).read_bytes()
        command = [*list_script_command(script), *arguments]
        return self.ssh(
            command, input=script, timeout=timeout, env=env, on_output=on_output, capture=capture
        )

    def copy_to(
        self,
        source: HostPath | Sequence[HostPath],
        target: str,
        *,
        follow: bool = False,
    ) -> tuple[Skipped, ...]:
        """Copy a file or directory of this machine to the guest; several, into a directory.

        What goes where is decided as by ``cp -aH`` and ``scp -r``: into *target* where that is a
        directory, else *target* is what the copy is called. Modes, modification times, symbolic
        links, hard links and empty directories are kept, owners are not: all belongs to the
        ssh user. New files and directories appear when they have come whole; a directory that
        is there already is added to.

        Args:
            source: What to copy. A link that is named is followed, links below it stay links.
            target: A path in the guest; one that is not absolute is below the login directory.
            follow: Copy what links lead to in their place.

        Returns:
            What was left out: devices, pipes and sockets.

        Raises:
            LagoError: A source is not there or cannot be read.
            VMNotRunningError: The VM is not running.
            VMError: The target is not what it should be, or the guest has no space.
            SSHError: The connection was lost.
        """
        from lago_sdk.service.copies import copy_to

        sources = [source] if isinstance(source, (str, PathLike)) else list(source)
        return copy_to(self._plan, self._prefix.context, sources, target, follow=follow)

    def copy_from(
        self,
        source: str | Sequence[str],
        target: HostPath,
        *,
        follow: bool = False,
    ) -> tuple[Skipped, ...]:
        """Copy a file or directory of the guest to this machine; several, into a directory.

        What goes where is decided as in `copy_to`. Nothing is written outside of *target*,
        whatever the guest sends, and nothing is there before all of it has come.

        Args:
            source: What to copy. A link that is named is followed, links below it stay links.
            target: Where to.
            follow: Copy what links lead to in their place.

        Returns:
            What was left out: devices, pipes, sockets, and links that lead out of their source.

        Raises:
            PathNotFoundError: The guest does not have one of the sources; nothing was copied.
            LagoError: The target is not what it should be, or cannot be written.
            VMNotRunningError: The VM is not running.
            SSHError: The connection was lost; the target is as it was.
        """
        from lago_sdk.service.copies import copy_from

        sources = [source] if isinstance(source, str) else list(source)
        return copy_from(self._plan, self._prefix.context, sources, target, follow=follow)

    def interactive_ssh(self, command: str | None = None) -> int:
        """Attach this terminal to a shell (or *command*) in the guest; returns its exit code."""
        return self._prefix.reach(self.name).interact(command)

    def service(self, name: str) -> Service:
        """Return the handle of a service of the guest; nothing is asked yet.

        Args:
            name: A unit of systemd, an init script, or ``CONTAINER`` or ``CONTAINER/UNIT``.
        """
        return Service(name, self._plan, run=self.ssh, context=self._prefix.context)

    def interactive_console(self, *, force: bool = False) -> int:
        """Attach this terminal to the serial console, until ``^]`` or until the VM goes off.

        Args:
            force: Take the console from whoever is there.

        Returns:
            0: a console has no exit code.

        Raises:
            ConsoleError: Somebody else is there, or took it over.
            LagoError: Standard input is not a terminal.
            VMNotRunningError: The VM is not running.
        """
        self.console.attach(force=force)
        return 0

    # -- seeing ----------------------------------------------------------------------------

    def screenshot(self, path: str | os.PathLike[str] | None = None) -> Screenshot:
        """Take a picture of its display, as PNG; the guest does not notice.

        Args:
            path: File to write it to as well.

        Returns:
            The picture; a notebook shows it.

        Raises:
            VMError: It has no display (``video: none``).
            VMNotRunningError: It is off.
            LagoError: The file cannot be written.
        """
        from lago_sdk.service.screens import take_screenshot

        return take_screenshot(self._plan, self._prefix.context, path)

    @property
    def graphics(self) -> Graphics:
        """Where its display is served by VNC or SPICE (``graphics`` in the init file).

        The address is one of the prefix's networks; `open_display` makes it reachable from here.

        Raises:
            VMError: It has no such server.
            VMNotRunningError: It is off.
        """
        from lago_sdk.service.displays import find_graphics

        return find_graphics(self._plan, self._prefix.context)

    def open_display(self, *, local_port: int = 0) -> AbstractContextManager[Graphics]:
        """Have its display server reachable from this machine for the block.

        On a private host a port of our loopback is forwarded to it, elsewhere nothing is needed.

        Args:
            local_port: The port of ours; a free one for 0.

        Raises:
            VMError: It has no display server.
            VMNotRunningError: It is off.
            HostError: Its host is another machine, or the port is taken.
        """
        from lago_sdk.service.displays import open_display

        return open_display(self._plan, self._prefix.context, local_port=local_port)

    def view(self) -> None:
        """Show its display in a window of ``remote-viewer``; returns when that is closed.

        Raises:
            VMError: It has no display server.
            VMNotRunningError: It is off.
            MissingToolError: remote-viewer is not installed.
        """
        from lago_sdk.service.displays import view_display

        view_display(self._plan, self._prefix.context)

    def forward(
        self, port: int, local_port: int = 0, *, address: str | None = None
    ) -> AbstractContextManager[Address]:
        """Forward a port of our loopback to a TCP port of the guest for the block.

        ::

            with vm.forward(80) as address:
                webbrowser.open(f"http://{address}/")

        Args:
            port: The guest's port; it need not be open yet.
            local_port: The port of ours, on 127.0.0.1; a free one for 0.
            address: Where in the prefix's networks to connect to; its `ip` when ``None``.

        Raises:
            VMError: It has no address.
            HostError: The port of ours is taken.
        """
        from lago_sdk.service.forward import forward

        return forward(
            self._plan, self._prefix.context, port, local_port=local_port, address=address
        )

    @property
    def usage(self) -> VMUsage:
        """What it has used since it was started: processor, memory, disks, nics.

        Raises:
            VMError: Somebody else runs it.
            HostError: libvirtd does not answer.
        """
        from lago_sdk.service.usage import get_usage

        return get_usage(self._plan, self._prefix.context)

    def capture(
        self,
        path: Target,
        *,
        nic: int = 0,
        filter: str | Sequence[str] | None = None,  # noqa: A002 - the word of all such tools
        count: int | None = None,
        duration: float | None = None,
        snaplen: int = 262_144,
    ) -> Capture:
        """Begin to capture what one of its nics sends and receives, into a pcap file.

        Args:
            path: As for `lago_sdk.Net.capture`, like all but *nic*.
            nic: The ``N`` of ``eth<N>``.
            filter: In the language of pcap-filter(7).
            count: End after so many packets.
            duration: End after so many seconds.
            snaplen: Bytes of a packet that are kept at most.

        Raises:
            VMNotRunningError: It is off.
            VMError: It has no such nic.
            CaptureError: As for `lago_sdk.Net.capture`.
            MissingToolError: There is a filter, and no tcpdump.
        """
        from lago_sdk.service.capture import CaptureLimits, capture_nic, get_nic

        limits = CaptureLimits(count=count, duration=duration)
        return capture_nic(
            self._plan,
            get_nic(self._plan, nic),
            self._prefix.context,
            path,
            words=filter,
            limits=limits,
            snaplen=snaplen,
        )

    @property
    def wait_for(self) -> WaitFor:
        """What can be waited for, for example ``vm.wait_for.port(80)``."""
        return WaitFor(self._plan, self._prefix.context)

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

    # -- hot changes -----------------------------------------------------------------------

    @property
    def disks(self) -> tuple[DiskPlan, ...]:
        """Its disks."""
        return self._plan.disks

    def attach_disk(self, disk: DiskSpec | Mapping[str, object]) -> DiskPlan:
        """Make a further disk and plug it in: at once where the VM runs, else at its next start.

        It stays until it is detached, over stops and starts.

        Args:
            disk: A `DiskSpec`, or a mapping as under ``disks`` of an init file, for example
                ``{"type": "empty", "name": "data", "size": "1G"}``. Relative paths start in the
                current directory.

        Returns:
            The disk as it was decided; ``dev`` is its name unless the guest calls it otherwise.

        Raises:
            SpecError: The mapping is no disk.
            VMError: The disk cannot be made or not be plugged in; nothing is left of it then.
        """
        from lago_sdk.service.hot_disks import attach_disk
        from lago_sdk.service.hot_specs import check_disk

        asked = check_disk(self._name, disk)
        self._prefix.replan(
            "attach a disk", lambda context: attach_disk(self._plan, asked, context)
        )
        return self.disks[-1]

    def detach_disk(self, name: str, *, timeout: float = 30.0) -> Path:
        """Take a disk out; its image is kept until the prefix is destroyed.

        Args:
            name: The disk; not the first one.
            timeout: Seconds that the guest may take to let go of it.

        Returns:
            The image, which `attach_disk` takes again: ``{"type": "file", "path": …}``.

        Raises:
            VMError: There is no such disk, or the guest does not let go of it.
        """
        from lago_sdk.service.hot_disks import detach_disk, get_disk

        path = self._prefix.path / get_disk(self._plan, name).path
        self._prefix.replan(
            "detach a disk",
            lambda context: detach_disk(self._plan, name, context, timeout=timeout),
        )
        return path

    def attach_nic(self, nic: NicSpec | Mapping[str, object] | str) -> NicPlan:
        """Plug a further nic in: at once where the VM runs, else at its next start.

        It stays until it is detached. In a guest that runs somebody has to configure it, as for
        example ``udhcpc -i eth1`` does on a net with DHCP.

        Args:
            nic: A `NicSpec`, a mapping as under ``nics`` of an init file, or the name of a net.

        Returns:
            The nic, with its MAC and addresses.

        Raises:
            NetNotFoundError: There is no such net.
            SpecError: The mapping is no nic, or its address or MAC cannot be had.
            VMError: It cannot be plugged in.
        """
        from lago_sdk.service.hot_nics import attach_nic
        from lago_sdk.service.hot_specs import check_nic

        asked = check_nic(self._name, nic)
        self._prefix.replan("attach a nic", lambda context: attach_nic(self._plan, asked, context))
        return self.nics[-1]

    def detach_nic(self, index: int, *, timeout: float = 30.0) -> None:
        """Take the nic ``eth<index>`` out; not the one that ssh goes over.

        Args:
            index: Its number, as ``nic.index`` has it.
            timeout: Seconds that the guest may take to let go of it.

        Raises:
            VMError: There is no such nic, or the guest does not let go of it.
        """
        from lago_sdk.service.hot_nics import detach_nic

        self._prefix.replan(
            "detach a nic",
            lambda context: detach_nic(self._plan, index, context, timeout=timeout),
        )

    def set_vcpus(self, count: int) -> None:
        """Give it so many virtual CPUs: at once where it runs, and from then on.

        A guest may have to be told to use one (``/sys/devices/system/cpu/cpu<N>/online``).

        Args:
            count: Up to ``max-vcpu`` of the spec.

        Raises:
            VMError: It has no places for so many, or the guest does not let go of one.
        """
        from lago_sdk.service.hot_cpus import set_vcpus

        self._prefix.replan(
            "set virtual CPUs", lambda context: set_vcpus(self._plan, count, context)
        )

    def set_link(self, index: int, *, is_up: bool) -> None:
        """Pull the cable of the nic ``eth<index>``, or plug it in, until the VM's next start.

        Raises:
            VMError: There is no such nic.
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.hot_nics import set_link

        set_link(self._plan, index, self._prefix.context, is_up=is_up)

    def has_link(self, index: int) -> bool:
        """Whether the cable is in the nic ``eth<index>``.

        Raises:
            VMError: There is no such nic.
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.hot_nics import has_link

        return has_link(self._plan, index, self._prefix.context)

    def extract_paths(
        self,
        paths: Iterable[tuple[str, str | os.PathLike[str]]],
        *,
        ignore_missing: bool = True,
        timeout: float | None = 600.0,
    ) -> Extraction:
        """Copy files and whole directories out of the guest, over ssh or from its disk when off.

        Nothing that the guest sends gets beside the names given: hostile names and links that
        lead elsewhere are left out, and told.

        Args:
            paths: Pairs of a path in the guest and what it shall be called here.
            ignore_missing: Only tell of paths that the guest lacks.
            timeout: Seconds that a running guest may take; ``None`` waits for ever.

        Raises:
            PathNotFoundError: Paths are missing, and not ignored; the others were copied.
            VMError: The guest does not answer, or the VM is paused.
            LagoError: The disk cannot be read, or the copies cannot be written.
        """
        from lago_sdk.service.collect import extract_paths

        pairs = [(path, Path(place)) for path, place in paths]
        return extract_paths(
            self._plan, pairs, self._prefix.context, ignore_missing=ignore_missing, timeout=timeout
        )

    def require_running(self) -> None:
        """Return when the VM runs.

        Raises:
            VMNotRunningError: It does not; the message tells its state.
            HostError: Nobody can tell.
        """
        from lago_sdk.service.reach import check_reachable

        check_reachable(self._plan, self._prefix.context)
