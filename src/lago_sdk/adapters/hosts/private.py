"""The private host: namespaces and a libvirtd of the prefix's own.

The supervisor (see its module) is the first process of new network, mount and PID namespaces,
and where we are not root of a new user namespace as well, which maps us and our subordinate ids.
It belongs to nobody: the host stays up when we end, unless it is *ephemeral*.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import secrets
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lago_sdk.adapters import process
from lago_sdk.adapters.hosts import checks, control, rundir
from lago_sdk.adapters.hosts.commands import run_command
from lago_sdk.adapters.hosts.daemon_files import HostFiles, read_tail
from lago_sdk.adapters.hosts.supervised import end_processes, find_processes, is_alive
from lago_sdk.errors import HostError, LockedError
from lago_sdk.plan.facts import Accel, HostFacts, Taken
from lago_sdk.ports import HostKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor
    from lago_sdk.adapters.packets import SocketTap
    from lago_sdk.config import AccelChoice
    from lago_sdk.results import CommandResult

_START_SECONDS = 20.0
_LOCK_SECONDS = 60.0
"""Longer than a start and an end together take at most."""
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_MACHINE_IMAGES = ("/var/lib/libvirt/images", "/var/lib/libvirt/boot")
_KEPT = ("/run/user", "/run/media", *_MACHINE_IMAGES)
"""Where users' disk images may lie that the host's own mounts would hide."""


class PrivateHost:
    """A libvirtd with networks of its own, for one prefix. Safe to use from several threads.

    Args:
        uuid: The prefix's uuid, 32 hex digits; also that of the libvirtd.
        prefix_path: The prefix's directory; libvirtd's files and the logs go there.
        run_dir: Directory for sockets, made by `start` and removed by `end`; at most 88 bytes
            long. The same for every process that uses the prefix.
        cache_dir: The user's cache; ``libvirt`` in it, shared between private hosts, remembers
            what QEMU can do, which makes their start some 0.1 to 0.7 s quicker.
        accel: What shall execute the guests' instructions.
        ephemeral: End the host with the process that started it, however that ends.
    """

    def __init__(
        self,
        *,
        uuid: str,
        prefix_path: Path,
        run_dir: Path,
        cache_dir: Path,
        accel: AccelChoice,
        ephemeral: bool = False,
    ) -> None:
        self._uuid = uuid
        self._files = HostFiles(prefix_path=prefix_path.resolve())
        self._run_dir = run_dir
        self._control = run_dir / rundir.CONTROL_SOCKET
        self._cache_dir = cache_dir.resolve() / "libvirt"
        self._accel = accel
        self._ephemeral = ephemeral
        self._hypervisor: LibvirtHypervisor | None = None
        self._mutex = threading.Lock()

    @property
    def kind(self) -> HostKind:
        """``PRIVATE``."""
        return HostKind.PRIVATE

    @property
    def uri(self) -> str:
        """URI of its libvirtd, for this machine and this user."""
        path = quote(os.fspath(self._run_dir / rundir.LIBVIRT_SOCKET))
        return f"qemu+unix:///system?socket={path}"

    # ------------------------------------------------------------------ up and down

    def is_up(self) -> bool:
        """Whether the supervisor answers and its libvirtd does; a millisecond."""
        try:
            status = self._find_status()
        except HostError:
            return False
        return status is not None and status.is_ready

    def is_ended(self) -> bool:
        """Whether there is no supervisor: neither one that answers nor one that is on record.

        Raises:
            HostError: The run directory is not ours, or another prefix's.
        """
        if self._find_status() is not None:
            return False
        return not is_alive(self._files.record)

    def start(self) -> None:
        """Bring it up, or wait for whoever is bringing it up; nothing happens when it is up.

        Where libvirtd has died another one takes over the VMs that run. Where that fails, or the
        supervisor does not answer, the host is brought up anew, and what ran in it ends.

        Raises:
            HostError: It cannot be brought up; the message quotes the logs, the hint says what to
                install or allow. Nothing is left running.
            LockedError: Another process brings it up or down, and does not come to an end.
        """
        if self.is_up():
            return
        rundir.check_path(self._run_dir)
        checks.check_needs()
        self._files.directory.mkdir(parents=True, exist_ok=True)
        with self._hold_lock():
            begin = self._log_sizes()
            status = self._find_status()
            if status is not None and status.is_broken:
                status = self._revive()
            if status is None or status.is_broken:
                self._end()
                self._spawn()
            self._wait(begin)

    def end(self) -> None:
        """Take it down with all that runs in it, and wait until it is gone; idempotent.

        Raises:
            HostError: Its processes do not go away, which only a broken kernel explains.
            LockedError: Another process brings it up or down, and does not come to an end.
        """
        self.close()
        if not self._files.directory.is_dir():
            self._end()
            return
        with self._hold_lock():
            self._end()

    def close(self) -> None:
        """Close the connection to libvirtd; what runs keeps running."""
        with self._mutex:
            hypervisor, self._hypervisor = self._hypervisor, None
        if hypervisor is not None:
            hypervisor.close()

    # ------------------------------------------------------------------ use

    def facts(self) -> HostFacts:
        """What domains here depend on; needs no running host.

        Raises:
            MissingToolError: QEMU or libvirtd is not installed.
            HostError: KVM is demanded and does not work.
        """
        from lago_sdk.adapters import cpu

        accel, _ = cpu.find_accel(self._accel)
        facts = cpu.find_cpu_facts()
        return HostFacts(
            accel=accel,
            emulator=checks.get_emulator(),
            arch=platform.machine(),
            cpu_vendor=facts.vendor,
            cpu_flags=facts.flags,
            cpu_models=cpu.list_cpu_models(),
            libvirt_version=checks.get_libvirt_version(),
        )

    def taken(self) -> Taken:
        """Nothing: nobody else is here."""
        return Taken()

    def hypervisor(self) -> LibvirtHypervisor:
        """The connection to its libvirtd, opened on first use and kept.

        Raises:
            HostError: The host is not up, or libvirtd does not answer.
        """
        from lago_sdk.adapters.libvirt.hypervisor import LibvirtHypervisor

        with self._mutex:
            if self._hypervisor is None:
                self._get_ready()
                self._hypervisor = LibvirtHypervisor(self.uri)
            elif self._hypervisor.is_lost():
                self._get_ready()
            return self._hypervisor

    def dial(self, address: str, port: int, *, timeout: float) -> socket.socket:
        """Return a socket connected to *address* in the host's networks.

        The supervisor makes the socket, which therefore belongs there; we connect it.

        Args:
            address: IPv4 or IPv6 address.
            port: TCP port.
            timeout: Seconds for the connection; the socket itself has no timeout.

        Raises:
            OSError: As ``socket.create_connection``.
            HostError: The host is not up.
        """
        version = ipaddress.ip_address(address).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        rundir.find_safe(self._run_dir)
        new = control.create_socket(self._control, family)
        try:
            new.settimeout(timeout)
            new.connect((address, port))
            new.settimeout(None)
        except OSError:
            new.close()
            raise
        return new

    def run(self, argv: Sequence[str], *, timeout: float | None = 60.0) -> CommandResult:
        """Run a command in the host's networks, as its root, in ``/``.

        Args:
            argv: The program, found as always, and its arguments.
            timeout: Seconds after which it is killed; ``None`` waits for ever.

        Raises:
            MissingToolError: The program is not installed.
            ToolError: No end within *timeout* seconds.
            HostError: The host is not up.
        """
        program = process.get_tool(argv[0])
        rundir.find_safe(self._run_dir)
        return run_command(self._control, argv, program=program, env=os.environ, timeout=timeout)

    def open_tap(self, device: str, *, words: Sequence[str] = (), snaplen: int) -> SocketTap:
        """Listen on a network device of the host's networks.

        Args:
            device: Its name.
            words: A filter in the language of pcap-filter(7).
            snaplen: Bytes of a packet that are kept at most.

        Raises:
            CaptureError: There is no such device, or the filter makes no sense.
            HostError: The host is not up.
            MissingToolError: There is a filter, and no tcpdump, which compiles it.
        """
        from lago_sdk.adapters.packets import SocketTap

        rundir.find_safe(self._run_dir)
        raw = control.create_socket(self._control, socket.AF_PACKET, socket.SOCK_RAW)
        return SocketTap(raw, device, words=words, snaplen=snaplen)

    def listen(
        self,
        vm: str,
        *,
        macs: Collection[str],
        gateways: Collection[str],
        ports: Collection[int] = (),
    ) -> str | None:
        """Listen for packets to a VM, until the first one comes; the supervisor goes on with it.

        Args:
            vm: Its name.
            macs: Addresses of its nics.
            gateways: Addresses of the host in its nets.
            ports: Ports of our connections to it that are at rest.

        Returns:
            What `heard` calls it; ``None`` where the kernel knows no filter.

        Raises:
            HostError: The host is not up.
        """
        from lago_sdk.adapters.listening import PROTOCOL, make_filter, start_listener

        rundir.find_safe(self._run_dir)
        token = secrets.token_hex(8)
        kind = (socket.AF_PACKET, socket.SOCK_RAW, PROTOCOL)
        with control.create_socket(self._control, *kind) as raw:
            try:
                start_listener(raw, make_filter(macs, gateways, ports))
            except OSError:
                return None
            control.listen(self._control, vm, token, raw)
        return token

    def heard(self) -> Mapping[str, bool]:
        """See `Host.heard`.

        Raises:
            HostError: The host is not up.
        """
        rundir.find_safe(self._run_dir)
        return control.heard(self._control)

    # ------------------------------------------------------------------ inside

    def _find_status(self) -> control.Status | None:
        """The supervisor's state, or ``None`` when there is none.

        Raises:
            HostError: The run directory is not ours, or another prefix's.
        """
        if not rundir.find_safe(self._run_dir):
            return None
        status = control.find_status(self._control)
        if status is not None and status.uuid != self._uuid:
            raise HostError(f"the run directory {self._run_dir} is prefix {status.uuid}'s")
        return status

    def _get_ready(self) -> None:
        status = self._find_status()
        if status is not None and status.is_ready:
            return
        if status is None and self.is_ended():
            raise HostError("the private host is not up", hint="start the prefix: lagoctl start")
        if status is not None and not status.is_broken:
            raise HostError("the private host is just starting", hint="try again in a second")
        why = f"its control socket {self._control} is gone" if status is None else status.state
        log = self._files.host_log if status is None else self._files.libvirtd_log
        raise HostError(
            f"the private host is broken: {why}; VMs may run in it, and nobody can tell",
            hint="lagoctl start mends it, with the VMs that run where it can; "
            f"lagoctl stop ends it with all of them; its log is {log}",
        )

    def _revive(self) -> control.Status | None:
        try:
            return control.revive(self._control, wait=_START_SECONDS)
        except HostError:
            return None  # it does not answer: the host is ended by its record

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        path = self._files.lock
        try:
            with FileLock(path, timeout=_LOCK_SECONDS, mode=0o600):
                path.write_text(f"{os.getpid()}\n")
                yield
        except Timeout as error:
            holder = path.read_text().strip() or "unknown"
            raise LockedError(
                f"process {holder} brings the private host up or down for more than "
                f"{_LOCK_SECONDS:.0f} s",
                hint=f"look at it with ps -p {holder}",
            ) from error

    def _spawn(self) -> None:
        """Start the supervisor; it listens at once, and is ready later."""
        self._files.write(uuid=self._uuid, run_dir=self._run_dir, cache_dir=self._cache_dir)
        rundir.create(self._run_dir)
        owner = os.pidfd_open(os.getpid()) if self._ephemeral else None
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            try:
                listener.bind(os.fspath(self._control))
                listener.listen(64)
                settings = json.dumps(self._settings(listener.fileno(), owner))
                argv = [*checks.list_namespace_argv(), sys.executable, "-I", "-S"]
                process.spawn_detached(
                    [*argv, os.fspath(_SUPERVISOR), settings],
                    log=self._files.host_log,
                    pass_fds=[listener.fileno(), *([] if owner is None else [owner])],
                )
            finally:
                if owner is not None:
                    os.close(owner)

    def _settings(self, control_fd: int, owner_fd: int | None) -> dict[str, object]:
        """What the supervisor is told; its module says what the keys mean."""
        files = self._files
        binds = {
            "/var/lib/libvirt": files.varlib,
            "/var/cache/libvirt": self._cache_dir,
            "/var/log/libvirt": files.logs,
            "/etc/libvirt": files.etc,
            **files.tpm_binds,
        }
        own = (self._run_dir.resolve(), files.prefix_path, self._cache_dir)
        return {
            "uuid": self._uuid,
            "control_fd": control_fd,
            "owner_fd": owner_fd,
            "record": os.fspath(files.record),
            "sources": [os.fspath(path) for path in binds.values()],
            "targets": list(binds),
            "keep_groups": self._needs_groups(),
            "keep": [*_KEPT, *(os.fspath(path) for path in own)],
            "libvirtd": [process.get_tool("libvirtd"), "-f", "/etc/libvirt/libvirtd.conf"],
            "libvirtd_log": os.fspath(files.libvirtd_log),
            "libvirtd_socket": os.fspath(self._run_dir / rundir.LIBVIRT_SOCKET),
        }

    def _needs_groups(self) -> bool:
        """Whether QEMU may need our group ``kvm``, which a user namespace cannot give it."""
        from lago_sdk.adapters import cpu

        return not checks.is_root() and cpu.find_accel(self._accel)[0] is Accel.KVM

    def _wait(self, begin: dict[Path, int]) -> None:
        """Wait for libvirtd's answer; on failure take everything down and say why."""
        try:
            status = control.get_status(self._control, wait=_START_SECONDS)
            problem = None if status.is_ready else status.state
        except HostError as error:
            problem = error.message
        if problem is None:
            return
        self._end()
        raise self._explain(f"the private host did not come up: {problem}", begin)

    def _log_sizes(self) -> dict[Path, int]:
        logs = (self._files.host_log, self._files.libvirtd_log)
        return {path: path.stat().st_size if path.exists() else 0 for path in logs}

    def _explain(self, message: str, begin: dict[Path, int] | None = None) -> HostError:
        """An error that quotes the ends of both logs and what is wrong with the machine."""
        begin = begin or dict.fromkeys(self._log_sizes(), 0)
        for path, size in begin.items():
            lines = read_tail(path, since=size)
            if lines:
                message += f"\nlast lines of {path}:\n" + "\n".join(f"  {x}" for x in lines)
        hint = next((x.hint or x.message for x in checks.check_private() if not x.ok), None)
        return HostError(message, hint=hint)

    def _end(self) -> None:
        status = self._find_status()
        pid = None if status is None else status.pid
        pidfds = find_processes(self._files.record, pid=pid)
        if pidfds:
            end_processes(pidfds, self._control)
        self._files.record.unlink(missing_ok=True)
        rundir.remove(self._run_dir)
