"""Real ssh servers on loopback, for the tests of the ssh adapter."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from lago_sdk.adapters import keys
from lago_sdk.adapters.ssh import SSHGuest
from lago_sdk.adapters.ssh.host_keys import pin_host_key
from lago_sdk.ports import SSHTarget

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def get_program(name, package):
    """The program's path; absent it is a skip, and a failure in CI."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        message = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def dial(address, port, timeout):
    sock = socket.create_connection((address, port), timeout=timeout)
    sock.settimeout(None)
    return sock


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@attrs.define
class Server:
    """One sshd or dropbear, restartable on its port."""

    argv: list[str]
    directory: Path
    port: int
    process: subprocess.Popen | None = None

    def start(self):
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), dial("127.0.0.1", self.port, 1):
                return self
            time.sleep(0.02)
        raise AssertionError(f"no server: {self.log()}")

    def kill(self):
        """End it and every session of it, as a guest that is powered off would."""
        if self.process is None:
            return
        # Parents first: a session must not live to report how its command was killed.
        for pid in [self.process.pid, *_descendants(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        # A session that it was just forking has the listening socket for a moment.
        end = time.monotonic() + 5
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < end:
                with contextlib.suppress(ConnectionResetError):
                    dial("127.0.0.1", self.port, 5).close()
                time.sleep(0.01)

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def target(self, **changes):
        return attrs.evolve(
            SSHTarget(
                vm="web",
                address="127.0.0.1",
                port=self.port,
                user=getpass.getuser(),
                key_path=self.directory / "id",
                host_keys_path=self.directory / "known_hosts",
                host_key_alias="web",
            ),
            **changes,
        )

    def guest(self, **changes):
        return SSHGuest(self.target(**changes), dial)


def _descendants(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended meanwhile
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


def make_sshd(directory, *extra):
    """An OpenSSH server that lets our own user in with the key ``directory/id``."""
    program = get_program("sshd", "openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation needs it
    public = keys.create_key_pair(directory / "id", "test")
    (directory / "authorized").write_text(f"{public}\n")
    private, host_public = keys.generate_host_key("host")
    (directory / "host_key").write_text(private)
    (directory / "host_key").chmod(0o600)
    pin_host_key(directory / "known_hosts", "web", host_public)
    port = free_port()
    (directory / "config").write_text(
        "\n".join(
            [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {directory}/host_key",
                f"AuthorizedKeysFile {directory}/authorized",
                f"PidFile {directory}/pid",
                "StrictModes no",
                "UsePAM no",
                "PermitRootLogin yes",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                f"SetEnv HOME={directory}",
                "MaxSessions 20",
                "MaxStartups 100",
                "PrintMotd no",
                "PrintLastLog no",
                *extra,
                "",
            ]
        )
    )
    # sshd closes all descriptors there could be at each session: with a million that takes 0.15 s.
    limited = ["prlimit", "--nofile=256", program]
    return Server([*limited, "-D", "-e", "-f", str(directory / "config")], directory, port)


def make_dropbear(directory):
    """A dropbear, which reads the keys of root's home: it gets a home of its own."""
    program = get_program("dropbear", "dropbear-bin")
    converter = get_program("dropbearkey", "dropbear-bin")
    if os.geteuid() != 0:
        pytest.skip("dropbear reads ~/.ssh only: it can be given another home by root alone")
    public = keys.create_key_pair(directory / "id", "test")
    (directory / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    (directory / "home").chmod(0o700)
    (directory / "home" / ".ssh" / "authorized_keys").write_text(f"{public}\n")
    (directory / "home" / ".ssh" / "authorized_keys").chmod(0o600)
    subprocess.run(
        [converter, "-t", "ed25519", "-f", directory / "host_key"], check=True, capture_output=True
    )
    port = free_port()
    script = (
        f"mount --bind {directory}/home /root && "
        f"exec {program} -F -E -s -r {directory}/host_key -p 127.0.0.1:{port}"
    )
    return Server(["unshare", "--mount", "sh", "-c", script], directory, port)
