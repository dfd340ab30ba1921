"""Runs a command beside a system libvirtd of its own: ``python sandbox.py COMMAND...``.

In new network, mount and PID namespaces (and, for an ordinary user, a user namespace) a libvirtd
is started whose directories are all temporary. The command finds it as ``qemu:///system``, and
can touch nothing of the machine: neither its networks, nor its libvirt, nor its processes. Once
the command has ended the kernel ends everything else in there.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

INSIDE = "TESTS_SANDBOX"
"""The variable that says, inside, where the sandbox's directory is."""

_SOCKET = Path("/run/libvirt/libvirt-sock")
_START_SECONDS = 60.0

_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
# In namespaces of ours QEMU is confined already, and cgroups and AppArmor are the machine's.
_QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""


def is_inside() -> bool:
    """Whether this process runs in a sandbox."""
    return INSIDE in os.environ


def run_in_sandbox(command: Sequence[str]) -> int:
    """Run *command* in a sandbox and return its exit code."""
    with temporary_directory() as directory:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user", "--map-auto"]
        environ = {**os.environ, INSIDE: str(directory)}
        process = subprocess.Popen([*unshare, sys.executable, __file__, *command], env=environ)
        with forwarded_signals(process):
            return process.wait()


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that goes with all that the sandbox's root left in it."""
    directory = Path(tempfile.mkdtemp(prefix="lago-sandbox."))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=os.geteuid() != 0)


@contextlib.contextmanager
def forwarded_signals(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let the sandbox end itself where we are asked to end."""
    caught = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: process.terminate()) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def supervise(command: Sequence[str], directory: Path) -> int:
    """Be the first process of the namespaces: prepare, run *command*, reap; return its code."""
    prepare_mounts(directory)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    with (directory / "libvirtd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [find_libvirtd(), "-f", "/etc/libvirt/libvirtd.conf"], stdout=log, stderr=log
        )
    wait_for_socket(daemon, directory / "libvirtd.log")
    # So that lagoctl and Config.load in there choose it without being told.
    settings = {"LAGO_HOST": "system", "LAGO_LEASE_DIR": str(directory / "subnets")}
    child = subprocess.Popen(command, env={**os.environ, **settings})
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: child.terminate())
    return reap_until(child)


def prepare_mounts(directory: Path) -> None:
    """Give the sandbox a /proc and a /run of its own, and temporary libvirt directories."""
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "tmpfs", "tmpfs", "/run")
    for path in ("/run/libvirt", "/run/lock"):
        Path(path).mkdir()
    for name in ("/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/etc/libvirt"):
        own = directory / name.strip("/")
        own.mkdir(parents=True)
        mount("--bind", str(own), name)
    Path("/etc/libvirt/libvirtd.conf").write_text(_LIBVIRTD_CONF)
    Path("/etc/libvirt/qemu.conf").write_text(_QEMU_CONF)


def mount(*arguments: str) -> None:
    """Mount something, in the namespace of the sandbox."""
    subprocess.run(["mount", *arguments], check=True)


def find_libvirtd() -> str:
    """Return the path of libvirtd, which is not on an ordinary user's PATH."""
    path = shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise SystemExit("libvirtd is not installed: apt-get install libvirt-daemon")
    return path


def wait_for_socket(daemon: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until libvirtd answers; its first look at QEMU's abilities takes seconds."""
    deadline = time.monotonic() + _START_SECONDS
    while not _SOCKET.exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"libvirtd did not start; it said:\n{log.read_text()}")
        time.sleep(0.02)


def reap_until(child: subprocess.Popen[bytes]) -> int:
    """Reap every process that ends, as PID 1 must; return the code of *child*."""
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            child.returncode = code
            return code if code >= 0 else 128 - code


def main() -> int:
    """Outside: make the sandbox. Inside: be its first process."""
    command = sys.argv[1:]
    if not command:
        raise SystemExit(f"usage: {sys.argv[0]} COMMAND...")
    if is_inside() and os.getpid() == 1:
        return supervise(command, Path(os.environ[INSIDE]))
    return run_in_sandbox(command)


if __name__ == "__main__":
    sys.exit(main())
