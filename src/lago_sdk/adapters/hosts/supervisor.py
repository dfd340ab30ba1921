"""The first process of a private host: mounts, libvirtd, and a door into its networks.

It is run as ``python -I -S supervisor.py SETTINGS`` by :mod:`lago_sdk.adapters.hosts.private`, as
PID 1 of new network, mount and PID namespaces. It uses the standard library only and imports
nothing of this package, so that it starts in some 30 ms and depends on nothing that its own
mounts could hide. When it ends, the kernel kills everything else in the PID namespace.

Its owner talks to it over a ``SOCK_SEQPACKET`` unix socket, one JSON object per packet and one
answer per packet; file descriptors travel beside them (``SCM_RIGHTS``). What it can be asked to
``do``:

========== =========================== ==========================================
``do``     with                        answer
========== =========================== ==========================================
``ping``                               ``pid``, ``uuid``, ``state``
``wait``                               the same, once ``state`` is not ``starting``
``revive``                             as ``wait``; a libvirtd that has died is started again
``socket`` ``family, type, proto``     ``{}``, and a socket of the host's networks
``run``    ``argv, env``, 3 stdio fds  ``code``, when the command has ended
``listen`` ``vm, token``, a socket     ``{}``; the socket is kept until a packet comes in
``heard``                              ``heard``: by token, whether one has
``end``                                ``{}``, and all is over
========== =========================== ==========================================

An answer ``{"error": "..."}`` says that it could not be done. A command is killed, with its
process group, when the connection that asked for it is closed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:  # without importing typing, which costs 5 ms
    from collections.abc import Callable

Settings = dict[str, object]
"""Keys: ``uuid``; ``control_fd``, the listening socket; ``owner_fd``, a pidfd, or ``None``;
``record``, the file that names us; ``keep``, directories to keep visible; ``sources`` and
``targets`` of bind mounts; ``keep_groups``, whether we stay in supplementary groups; ``libvirtd``,
its command; ``libvirtd_log``; ``libvirtd_socket``."""
Message = dict[str, object]

MAX_MESSAGE = 200_000
"""Bytes of one packet; below the kernel's default limit of 212,992 for a unix socket."""
STARTING = "starting"
READY = "ready"

_HIDDEN = "/run"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_SECONDS = 0.005
_OPEN_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

# Flags of mount(2), from linux/mount.h.
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC = 4096, 16384

# Of seccomp(2), from linux/seccomp.h, linux/audit.h and asm/unistd.h: by machine the
# architecture as the kernel tells it to filters, and the numbers of seccomp and setgroups.
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
_SECCOMP_RET_ALLOW, _SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
_SYSCALLS = {"x86_64": (0xC000003E, 317, 116), "aarch64": (0xC00000B7, 277, 159)}

# Requests of netdevice(7), from linux/sockios.h and linux/if.h.
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# libvirt's RPC (src/rpc/virnetprotocol.x, src/remote/remote_protocol.x): length, program, version,
# procedure REMOTE_PROC_AUTH_LIST, type call, serial, status. libvirtd answers no client before
# all its drivers are initialised, and this call needs no login: the answer means it is ready.
_AUTH_LIST = struct.pack(">IIIIIII", 28, 0x20008086, 1, 66, 0, 1, 0)


def _log(text: str) -> None:
    os.write(2, f"supervisor: {text}\n".encode())


def _strings(value: object) -> list[str]:
    """*value*, which came as JSON, as the list of strings that it has to be."""
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {value!r}")
    return [str(item) for item in value]


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a number is expected, not {value!r}")
    return value


def _take_over(descriptor: int) -> int:
    """*descriptor*, which we inherited, no longer handed on to our children."""
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keyword
    return descriptor


# ------------------------------------------------------------------ mounts and networks


def is_below(path: str, parent: str) -> bool:
    """Whether *path* is *parent* or lies in it; both absolute and free of links."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def list_hidden(keep: list[str], targets: list[str]) -> list[str]:
    """Those of *keep* that a mount on one of *targets* would hide; outer ones first."""
    hidden = [path for path in keep if any(is_below(path, target) for target in targets)]
    return sorted(set(hidden))


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [None if x is None else os.fsencode(x) for x in (source, target, kind, data)]
    done = libc.mount(*arguments[:3], ctypes.c_ulong(flags), arguments[3])
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mounting {source} on {target}: {os.strerror(code)}")


def _open_directory(path: str) -> int | None:
    try:
        return os.open(path, _OPEN_FLAGS)
    except OSError:
        return None


def _bind(descriptor: int, target: str) -> None:
    # Recursive: in a user namespace a bind that would uncover what is below a mount is refused.
    _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND | _MS_REC)
    os.close(descriptor)


def mount_all(binds: list[tuple[str, str]], keep: list[str]) -> None:
    """Give us /proc, /sys and /run of our own and libvirt's directories from the prefix.

    The machine's /run is hidden, so that libvirtd meets neither the system bus (and by it the
    machine's firewalld) nor another libvirtd's files.
    """
    targets = [_HIDDEN, *(target for _, target in binds)]
    sources = [(os.open(source, _OPEN_FLAGS), target) for source, target in binds]
    kept = [(_open_directory(path), path) for path in list_hidden(keep, targets)]
    safe = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("proc", "/proc", "proc", safe)
    try:
        # The machine's /sys shows the machine's network devices, and libvirt sets up bridges there.
        _mount("sysfs", "/sys", "sysfs", safe)
    except OSError as error:
        _log(f"{error} (going on with the machine's)")
    _mount("tmpfs", _HIDDEN, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755")
    for name in ("libvirt", "lock"):
        os.mkdir(f"{_HIDDEN}/{name}", 0o755)  # noqa: PTH102 - pathlib costs 10 ms to import
    for descriptor, target in sources:
        _bind(descriptor, target)
    for kept_descriptor, path in kept:
        if kept_descriptor is not None:
            os.makedirs(path, exist_ok=True)  # noqa: PTH103 - pathlib costs 10 ms to import
            _bind(kept_descriptor, path)


def _write_sysctl(name: str, value: str) -> None:
    try:
        descriptor = os.open(f"/proc/sys/net/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # a kernel without IPv6
        return
    os.write(descriptor, value.encode())
    os.close(descriptor)


def set_up_networks() -> None:
    """Raise the loopback device, allow forwarding, and use IPv6 addresses without a wait."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        request = struct.pack("16sh22x", b"lo", flags | _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    _write_sysctl("ipv4/ip_forward", "1")
    for scope in ("all", "default"):
        _write_sysctl(f"ipv6/conf/{scope}/disable_ipv6", "0")
        # Nobody else is on these networks at first, so detecting duplicates only costs seconds.
        _write_sysctl(f"ipv6/conf/{scope}/accept_dad", "0")


# ------------------------------------------------------------------ programs


def keep_groups() -> None:
    """Make setgroups(2) do nothing, for us and all that we start.

    libvirt drops supplementary groups before it runs QEMU, although as the same user. In a user
    namespace they cannot be got back, and ``kvm`` may be what opens ``/dev/kvm`` to the user.
    """
    machine = os.uname().machine
    if machine not in _SYSCALLS:
        return
    architecture, seccomp, setgroups = _SYSCALLS[machine]
    steps = (  # linux/filter.h: code, jumps when true and false, operand
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 3, architecture),  # jump if equal, else allow
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 1, setgroups),
        (0x06, 0, 0, _SECCOMP_RET_ERRNO),  # return errno 0: success
        (0x06, 0, 0, _SECCOMP_RET_ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = (seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    if libc.syscall(*(ctypes.c_long(number) for number in numbers), program) != 0:
        _log(f"supplementary groups will be lost: {os.strerror(ctypes.get_errno())}")


def _spawn(argv: list[str], env: dict[str, str], stdio: list[int]) -> int:
    """Start *argv* in a session of its own and return its pid."""
    return os.posix_spawn(
        argv[0],
        argv,
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores both, children must not
    )


def _start_libvirtd(argv: list[str], log_path: str) -> int:
    env = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root"}
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        return _spawn(argv, env, [nothing, log, log])
    finally:
        os.close(nothing)
        os.close(log)


class _Client:
    """One connection to the control socket, and the command it waits for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pid: int | None = None

    def answer(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode()
        with suppress(OSError):  # it has gone; the loop will see that
            socket.send_fds(self.connection, [data], descriptors, socket.MSG_NOSIGNAL)


class Listeners:
    """Sockets that are kept until the first packet comes in, one for each VM."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.selector = selector
        self.tokens: dict[str, str] = {}
        self.open: dict[str, socket.socket] = {}

    def add(self, vm: str, token: str, descriptor: int) -> None:
        """Keep the socket *descriptor*, in place of the one before for *vm*."""
        self.close(vm)
        self.tokens[vm] = token
        self.open[vm] = socket.socket(fileno=os.dup(descriptor))
        self.selector.register(self.open[vm], selectors.EVENT_READ, lambda: self.close(vm))

    def close(self, vm: str) -> None:
        """Forget a socket: it has heard what it was there for, and costs no more."""
        listener = self.open.pop(vm, None)
        if listener is not None:
            self.selector.unregister(listener)
            listener.close()

    def heard(self) -> dict[str, bool]:
        """Return whether anything came in, by token."""
        for vm, listener in tuple(self.open.items()):
            try:
                listener.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                _log(f"does not hear packets to {vm} any more: {error}")
            self.close(vm)
        return {token: vm not in self.open for vm, token in self.tokens.items()}


# ------------------------------------------------------------------ the loop


class Supervisor:
    """Serves the control socket, reaps children at once, and watches libvirtd and the owner."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = STARTING
        self.pid = int(os.readlink("/proc/self"))  # noqa: PTH115 - in the PID namespace of the owner
        self.selector = selectors.DefaultSelector()
        self.listeners = Listeners(self.selector)
        self.clients: set[_Client] = set()
        self.waiting: list[_Client] = []
        self.libvirtd: int | None = None
        self.probe: socket.socket | None = None
        self.control = socket.socket(fileno=_take_over(_number(settings["control_fd"])))

    def watch(self, thing: socket.socket | int, action: Callable[[], None]) -> None:
        """Call *action* whenever *thing* can be read."""
        self.selector.register(thing, selectors.EVENT_READ, action)

    def prepare(self) -> None:
        """Bring up everything but libvirtd's answer."""
        self.watch_signals()
        self.control.settimeout(0)
        self.control.listen(64)  # again, so that SO_PEERCRED names us and not our owner
        self.watch(self.control, self.accept)
        owner = self.settings["owner_fd"]
        if owner is not None:
            self.watch(_take_over(_number(owner)), lambda: self.end("the owner has gone"))
        self.write_record()
        os.umask(0o022)
        targets, sources = self.settings["targets"], self.settings["sources"]
        binds = list(zip(_strings(sources), _strings(targets), strict=True))
        mount_all(binds, _strings(self.settings["keep"]))
        set_up_networks()
        if self.settings["keep_groups"]:
            keep_groups()
        self.start_libvirtd()

    def watch_signals(self) -> None:
        """Turn signals into bytes that wake the loop."""
        reader, writer = socket.socketpair()
        reader.settimeout(0)
        writer.settimeout(0)
        self.writer = writer
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

        def handle() -> None:
            numbers = reader.recv(4096)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                self.end("asked by a signal")
            self.reap()

        self.watch(reader, handle)

    def write_record(self) -> None:
        """Name us, so that we can be ended even when the control socket is lost."""
        with open("/proc/self/stat", "rb") as stat:  # noqa: PTH123 - pathlib costs 10 ms
            started = int(stat.read().rpartition(b")")[2].split()[19])
        with open("/proc/sys/kernel/random/boot_id") as boot:  # noqa: PTH123
            boot_id = boot.read().strip()
        path = str(self.settings["record"])
        record = {"pid": self.pid, "started": started, "boot_id": boot_id}
        with open(f"{path}.new", "w") as file:  # noqa: PTH123
            json.dump(record, file)
        os.replace(f"{path}.new", path)  # noqa: PTH105

    def serve(self) -> None:
        """Serve until the end of the process."""
        while True:
            timeout = None
            if self.state == STARTING and self.probe is None:
                self.start_probe()
                timeout = _PROBE_SECONDS
            for key, _ in self.selector.select(timeout):
                key.data()

    def end(self, reason: str) -> None:
        """End everything: the kernel kills whoever is left in our PID namespace."""
        _log(f"ends: {reason}")
        os._exit(0)

    # -------------------------------------------------------------- libvirtd

    def start_libvirtd(self) -> None:
        """Start it; one that died is followed by one that knows the VMs which still run."""
        log_path = str(self.settings["libvirtd_log"])
        self.libvirtd = _start_libvirtd(_strings(self.settings["libvirtd"]), log_path)
        self.state = STARTING

    def start_probe(self) -> None:
        """Ask libvirtd whether it is ready, if its socket is there."""
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            probe.connect(str(self.settings["libvirtd_socket"]))
            probe.send(_AUTH_LIST)
        except OSError:
            probe.close()
            return
        self.probe = probe
        self.watch(probe, self.finish_probe)

    def finish_probe(self) -> None:
        """Libvirtd has answered, or closed the connection."""
        if self.probe is None:
            return
        self.selector.unregister(self.probe)
        try:
            answered = bool(self.probe.recv(4096))
        except OSError:
            answered = False
        self.probe.close()
        self.probe = None
        if answered and self.state == STARTING:
            self.set_state(READY)

    def set_state(self, state: str) -> None:
        """Note what libvirtd is at, and tell those who wait for it."""
        _log(state)
        self.state = state
        for client in self.waiting:
            client.answer(self.status())
        self.waiting.clear()

    def status(self) -> Message:
        """What ``ping`` answers."""
        return {"pid": self.pid, "uuid": self.settings["uuid"], "state": self.state}

    def reap(self) -> None:
        """Take leave of every child that has ended.

        libvirtd polls for the end of a QEMU by its pid, which lasts until it is reaped here.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self.libvirtd:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self.set_state(f"libvirtd has ended with {how}")
            for client in self.clients:
                if client.pid == pid:
                    client.pid = None
                    client.answer({"code": code})

    # -------------------------------------------------------------- control socket

    def accept(self) -> None:
        """Take a connection, if it is of our own user."""
        connection, _ = self.control.accept()
        connection.settimeout(0)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("3i", credentials)
        if uid != os.geteuid():
            _log(f"refuses a connection of uid {uid}")
            connection.close()
            return
        client = _Client(connection)
        self.clients.add(client)
        self.watch(connection, lambda: self.receive(client))

    def receive(self, client: _Client) -> None:
        """Read one request and act on it."""
        flags = socket.MSG_CMSG_CLOEXEC
        try:
            data, descriptors, got, _ = socket.recv_fds(client.connection, MAX_MESSAGE, 3, flags)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors, got = b"", [], 0
        try:
            if not data:
                self.drop(client)
            elif got & socket.MSG_TRUNC:
                client.answer({"error": f"a message has {MAX_MESSAGE} bytes at most"})
            else:
                self.act(client, json.loads(data), descriptors)
        except (OSError, ValueError, LookupError, TypeError) as error:
            client.answer({"error": f"{type(error).__name__}: {error}"})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def drop(self, client: _Client) -> None:
        """Forget a connection that was closed, and kill what it had started."""
        self.selector.unregister(client.connection)
        client.connection.close()
        self.clients.discard(client)
        if client in self.waiting:
            self.waiting.remove(client)
        if client.pid is not None:
            os.killpg(client.pid, signal.SIGKILL)

    def act(self, client: _Client, request: Message, descriptors: list[int]) -> None:
        """Do what *request* asks for."""
        match request.get("do"):
            case "ping":
                client.answer(self.status())
            case "wait" | "revive" as wish:
                if wish == "revive" and self.state not in {STARTING, READY}:
                    self.start_libvirtd()
                if self.state == STARTING:
                    self.waiting.append(client)
                else:
                    client.answer(self.status())
            case "socket":
                numbers = [_number(request[key]) for key in ("family", "type", "proto")]
                with socket.socket(*numbers) as new:
                    client.answer({}, (new.fileno(),))
            case "run":
                self.run(client, request, descriptors)
            case "listen":
                self.listeners.add(str(request["vm"]), str(request["token"]), descriptors[0])
                client.answer({})
            case "heard":
                client.answer({"heard": self.listeners.heard()})
            case "end":
                client.answer({})
                self.end("asked by its owner")
            case other:
                client.answer({"error": f"unknown request {other!r}"})

    def run(self, client: _Client, request: Message, descriptors: list[int]) -> None:
        """Start a command; `reap` answers when it has ended."""
        if client.pid is not None:
            client.answer({"error": "a command is running on this connection"})
            return
        env = request["env"]
        if not isinstance(env, dict) or len(descriptors) != 3:
            client.answer({"error": "a command needs an environment and three descriptors"})
            return
        client.pid = _spawn(_strings(request["argv"]), env, descriptors)


def main() -> None:
    """Be the first process of a private host."""
    supervisor = Supervisor(json.loads(sys.argv[1]))
    try:
        supervisor.prepare()
    except OSError as error:
        _log(f"cannot start: {error}")
        os._exit(1)
    supervisor.serve()


if __name__ == "__main__":
    main()
