"""The one place that starts programs. Commands are argument lists; no shell is involved."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
from typing import TYPE_CHECKING

from lago_sdk.errors import MissingToolError, ToolError
from lago_sdk.results import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_PACKAGES = {
    "debugfs": "e2fsprogs",
    "dnsmasq": "dnsmasq-base",
    "dpkg-deb": "dpkg",
    "e2fsck": "e2fsprogs",
    "gpg": "gnupg",
    "guestfish": "libguestfs-tools",
    "grub-mkimage": "grub-common",
    "ip": "iproute2",
    "iptables": "iptables",
    "libvirtd": "libvirt-daemon",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "openssl": "openssl",
    "qemu-img": "qemu-utils",
    "qemu-storage-daemon": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "remote-viewer": "virt-viewer",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "sfdisk": "fdisk",
    "tcpdump": "tcpdump",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zstd": "zstd",
}
"""Debian 12 package of each program that the library calls."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian keeps ``/usr/sbin`` out of an ordinary user's PATH; libvirtd and mke2fs live there."""


def find_tool(name: str) -> str | None:
    """Return the absolute path of the program *name*, or ``None`` when it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def get_tool(name: str) -> str:
    """Return the absolute path of the program *name*.

    Raises:
        MissingToolError: It is not installed; the hint names the Debian package.
    """
    path = find_tool(name)
    if path is None:
        raise MissingToolError(name, package=_PACKAGES.get(name))
    return path


def run(
    argv: Sequence[str],
    *,
    input: bytes | None = None,  # noqa: A002 - the name subprocess uses
    timeout: float | None = 300.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    check: bool = True,
) -> CommandResult:
    """Run a program to its end and return its exit code and output.

    Args:
        argv: The program, found by :func:`get_tool`, and its arguments.
        input: Bytes for its standard input; without them it reads from ``/dev/null``.
        timeout: Seconds after which it is killed; ``None`` waits for ever.
        env: The whole environment; the current one when ``None``.
        cwd: Where to run it.
        check: Raise when it exits non-zero.

    Raises:
        MissingToolError: The program is not installed.
        ToolError: It failed (with *check*) or took longer than *timeout*.
    """
    command = [get_tool(argv[0]), *argv[1:]]
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            command,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
            env=env,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(argv, -9, f"no end after {timeout} s") from error
    result = CommandResult(
        command=" ".join(argv),
        code=done.returncode,
        out=done.stdout.decode(errors="replace"),
        err=done.stderr.decode(errors="replace"),
    )
    if check and result.code != 0:
        raise ToolError(argv, result.code, result.out + result.err)
    return result


def spawn_detached(argv: Sequence[str], *, log: Path, pass_fds: Sequence[int] = ()) -> None:
    """Start a program that outlives us: in a session of its own, and nobody's child.

    Its environment has nothing but a PATH, a home and a locale; it runs in ``/``.

    Args:
        argv: The program, found by :func:`get_tool`, and its arguments.
        log: Its standard output and error are appended there; it reads from ``/dev/null``.
        pass_fds: Descriptors that it inherits, under the same numbers.

    Raises:
        MissingToolError: The program is not installed.
        ToolError: It could not be started.
    """
    command = [get_tool("setsid"), "--fork", get_tool(argv[0]), *argv[1:]]
    env = {"PATH": _SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/"}
    with log.open("ab") as output:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            env=env,
            cwd="/",
            check=False,
        )
    if done.returncode != 0:
        raise ToolError(command, done.returncode, f"see {log}")


class Filter:
    """A running program that turns its standard input into its standard output.

    Close it whatever happens; it ends by itself when we are killed.

    Args:
        argv: The program, found by :func:`get_tool`, and its arguments.

    Raises:
        MissingToolError: The program is not installed.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = tuple(argv)
        self._process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            [get_tool(argv[0]), *argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write *chunks* and close; stops where the program does not want more."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            for chunk in chunks:
                stdin.write(chunk)

    def read(self, size: int) -> bytes:
        """Return the next bytes of the output, at most *size*; none at its end."""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), size)

    def check(self) -> None:
        """Wait for the end, and check that it was a good one.

        Raises:
            ToolError: The program failed.
        """
        assert self._process.stderr is not None
        told = self._process.stderr.read().decode(errors="replace")
        code = self._process.wait()
        if code != 0:
            raise ToolError(self._argv, code, told)

    def close(self) -> None:
        """End the program where it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Companion:
    """A program that runs beside us until it is ended; it ends as well when our thread dies.

    What it writes, on either stream, comes as one stream of bytes.

    Args:
        argv: The program, found by :func:`get_tool`, and its arguments.
        env: Its whole environment; the current one when ``None``.
        cwd: Where it runs.

    Raises:
        MissingToolError: The program is not installed.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
    ) -> None:
        self.argv = tuple(argv)
        command = [get_tool("setpriv"), "--pdeathsig", "TERM", get_tool(argv[0]), *argv[1:]]
        self._process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=env,
            cwd=cwd,
        )

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def write(self, data: bytes) -> None:
        """Write *data* to its standard input; where it has ended, its output tells why."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(data)

    def read(self, size: int, *, timeout: float) -> bytes:
        """Return what it wrote, at most *size* bytes; none at the end of its output.

        Raises:
            ToolError: It wrote nothing for *timeout* seconds.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], timeout)[0]:
            raise ToolError(self.argv, -9, f"no answer for {timeout:g} s")
        return os.read(descriptor, size)

    def end(self, *, timeout: float = 30.0, kill: bool = False) -> int:
        """Close its input and wait for its end; returns the exit code.

        Args:
            timeout: Seconds after which it is killed.
            kill: Do not wait for it to end by itself: ask it to (SIGTERM).
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kill and self.is_running:
            self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._process.stdout.close()
