"""What a private host needs of the machine, looked at without starting anything."""

from __future__ import annotations

import os
import platform
import pwd
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.adapters import process
from lago_sdk.adapters.hosts.findings import Finding
from lago_sdk.errors import HostError, LagoError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

EMULATOR = f"qemu-system-{platform.machine()}"
"""Name of the QEMU system emulator for this machine."""
_TUN = Path("/dev/net/tun")
_SYSCTL = Path("/proc/sys")
_IDS_NEEDED = 65536
"""dnsmasq becomes ``nobody``, which is id 65534."""
_CAP_SYS_ADMIN = 21
_PROGRAMS = ("libvirtd", "dnsmasq", "iptables", "ip", "qemu-img", "unshare", "setsid")
_MOUNT_POINTS = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
_DRIVER_GLOBS = ("lib*/libvirt", "lib/*/libvirt")
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child")


def is_root() -> bool:
    """Whether we are root already and need no user namespace."""
    return os.geteuid() == 0


def list_namespace_argv() -> tuple[str, ...]:
    """The command that runs what follows it as the first process of new namespaces."""
    user = () if is_root() else ("--user", "--map-root-user", "--map-auto")
    return ("unshare", *user, *_NAMESPACES)


def get_emulator() -> str:
    """Absolute path of the QEMU system emulator for this machine.

    Raises:
        MissingToolError: It is not installed.
    """
    red_hat = Path("/usr/libexec/qemu-kvm")
    if process.find_tool(EMULATOR) is None and red_hat.exists():
        return os.fspath(red_hat)
    return process.get_tool(EMULATOR)


@lru_cache(maxsize=1)
def get_libvirt_version() -> int:
    """Version of the installed libvirtd, as libvirt counts; asked once a process.

    Raises:
        MissingToolError: It is not installed.
    """
    text = process.run(["libvirtd", "--version"], timeout=10).out  # libvirtd (libvirt) 9.0.0
    major, minor, micro = (int(part) for part in text.split()[-1].split("."))
    return major * 1_000_000 + minor * 1_000 + micro


def check_private() -> tuple[Finding, ...]:
    """Look at all that a private host needs; changes nothing and leaves nothing running."""
    findings = tuple(_check_all())
    return (*findings, _probe()) if all(finding.ok for finding in findings) else findings


def check_needs() -> None:
    """Do the quick part of :func:`check_private`, a millisecond.

    Raises:
        MissingToolError: A program is not installed.
        HostError: Something else is missing; the hint says what to do.
    """
    get_emulator()
    for program in _list_programs():
        process.get_tool(program)
    for finding in _check_all():
        if not finding.ok:
            raise HostError(finding.message, hint=finding.hint)


def check_program(name: str) -> Finding:
    """Look for a program."""
    try:
        path = get_emulator() if name == EMULATOR else process.get_tool(name)
    except MissingToolError as error:
        return Finding(name=name, ok=False, message=error.message, hint=error.hint)
    return Finding(name=name, ok=True, message=path)


def check_tun() -> Finding:
    """Look whether we may make tap devices, which connect VMs to networks."""
    name = "tap devices"
    hint = f"as root: chmod 0666 {_TUN} (udev does it where it runs)"
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        hint = f"as root: modprobe tun, or mkdir -p {_TUN.parent}; mknod -m 0666 {_TUN} c 10 200"
        return Finding(name=name, ok=False, message=f"{_TUN} does not exist", hint=hint)
    except OSError as error:
        message = f"{_TUN} cannot be opened: {error.strerror}"
        return Finding(name=name, ok=False, message=message, hint=hint)
    return Finding(name=name, ok=True, message=f"{_TUN} can be opened")


def check_subordinate_ids(path: Path, user: str, uid: int) -> Finding:
    """Look for the user's range in ``/etc/subuid`` or ``/etc/subgid`` (subuid(5)).

    Args:
        path: The file.
        user: The user's name.
        uid: The user's number, which the file may have in place of the name.
    """
    name = f"subordinate {'group' if path.name == 'subgid' else 'user'} ids"
    ranges = _parse_ranges(path)
    largest = max((n for owner, _, n in ranges if owner in {user, str(uid)}), default=0)
    if largest >= _IDS_NEEDED:
        return Finding(name=name, ok=True, message=f"{path} gives {user} {largest} of them")
    free = max([100_000, *(start + count for _, start, count in ranges)])
    ids = f"{free}-{free + _IDS_NEEDED - 1}"
    option = "--add-subgids" if path.name == "subgid" else "--add-subuids"
    message = f"{path} has no range of {_IDS_NEEDED} ids for the user {user}"
    if largest:
        message += f", only one of {largest}"
    return Finding(
        name=name, ok=False, message=message, hint=f"as root: usermod {option} {ids} {user}"
    )


def check_namespaces() -> Finding:
    """Look at what may forbid us namespaces, as far as files tell."""
    name = "namespaces"
    if is_root():
        if _has_capability(_CAP_SYS_ADMIN):
            return Finding(name=name, ok=True, message="we are root")
        hint = "run as an ordinary user, or give the container CAP_SYS_ADMIN"
        return Finding(name=name, ok=False, message="we are a root without powers", hint=hint)
    forbidding = {"user/max_user_namespaces": "0", "kernel/unprivileged_userns_clone": "0"}
    for key, value in forbidding.items():
        if _read_sysctl(key) == value:
            dotted = key.replace("/", ".")
            wanted = "65536" if key.startswith("user/") else "1"
            message = f"the sysctl {dotted} is {value} and forbids user namespaces"
            hint = f"as root: sysctl -w {dotted}={wanted}"
            return Finding(name=name, ok=False, message=message, hint=hint)
    return Finding(name=name, ok=True, message="no sysctl forbids user namespaces")


def _list_programs() -> tuple[str, ...]:
    return _PROGRAMS if is_root() else (*_PROGRAMS, "newuidmap", "newgidmap")


def _check_all() -> Iterator[Finding]:
    for program in (*_list_programs(), EMULATOR):
        yield check_program(program)
    yield _check_driver()
    yield _check_mount_points()
    yield check_tun()
    yield check_namespaces()
    if not is_root():
        uid = os.getuid()
        for path in (Path("/etc/subuid"), Path("/etc/subgid")):
            yield check_subordinate_ids(path, _get_user_name(uid), uid)


def _check_driver() -> Finding:
    """Look for the QEMU driver, which libvirtd loads and which Debian packages apart."""
    name = "libvirt's QEMU driver"
    for pattern in _DRIVER_GLOBS:
        for found in Path("/usr").glob(f"{pattern}/connection-driver/libvirt_driver_qemu.so"):
            return Finding(name=name, ok=True, message=os.fspath(found))
    hint = "install it: apt-get install libvirt-daemon-driver-qemu"
    return Finding(name=name, ok=False, message="libvirt's QEMU driver is not installed", hint=hint)


def _check_mount_points() -> Finding:
    """An ordinary user cannot make the directories that the private host mounts on."""
    name = "libvirt's directories"
    missing = [path for path in _MOUNT_POINTS if not Path(path).is_dir()]
    if not missing:
        return Finding(name=name, ok=True, message="all there")
    hint = "install what has them: apt-get install libvirt-daemon libvirt-daemon-system"
    message = f"there is no directory {', '.join(missing)}"
    return Finding(name=name, ok=False, message=message, hint=hint)


def _probe() -> Finding:
    """Make the namespaces for a moment: seccomp and AppArmor cannot be read from files."""
    name = "namespaces, tried"
    argv = [*list_namespace_argv(), "--mount-proc", "ip", "link", "set", "lo", "up"]
    try:
        process.run(argv, timeout=10)
    except LagoError as error:
        return Finding(name=name, ok=False, message=error.message, hint=_explain_refusal())
    return Finding(name=name, ok=True, message="they can be made")


def _explain_refusal() -> str:
    if _read_sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces here (Ubuntu); as root: "
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return "in a container: allow it namespaces (seccomp) and an unmasked /proc"


def _get_user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _parse_ranges(path: Path) -> list[tuple[str, int, int]]:
    """Owner, first id and number of ids of each line; what makes no sense is left out."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.strip().split(":") for line in lines]
    return [
        (owner, int(start), int(count))
        for owner, start, count in (row for row in fields if len(row) == 3)
        if start.isdecimal() and count.isdecimal()
    ]


def _read_sysctl(key: str) -> str | None:
    try:
        return (_SYSCTL / key).read_text().strip()
    except OSError:
        return None


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
