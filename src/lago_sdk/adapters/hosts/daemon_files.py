"""The files of a private host in its prefix, and libvirtd's configuration among them.

::

    host/etc/       seen as /etc/libvirt: configuration, definitions of domains and networks
    host/varlib/    seen as /var/lib/libvirt
    host/tpm-*/     seen as /var/lib/swtpm-localca and /var/log/swtpm, where those are
    host/lock       held while the host is brought up or down
    host/supervisor.json  which process the supervisor is
    logs/host.log   what the supervisor says
    logs/libvirt/   seen as /var/log/libvirt; libvirtd.log is in it
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import attrs

_QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
lock_manager = "nop"
swtpm_user = "root"
swtpm_group = "root"
"""
"""Nothing to confine QEMU from: it runs as the user, alone with the prefix's own libvirtd.

``root`` is the namespace's, that is the user. Keys: qemu.conf of libvirt 9.
"""

_LIBVIRTD_CONF = """\
unix_sock_dir = "{run_dir}"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
"""
"""The run directory lets nobody in but the user. Keys: libvirtd.conf of libvirt 9."""


@attrs.frozen(kw_only=True)
class HostFiles:
    """Where the files of a prefix's private host are."""

    prefix_path: Path

    @property
    def directory(self) -> Path:
        """What libvirtd keeps, and our lock and record."""
        return self.prefix_path / "host"

    @property
    def etc(self) -> Path:
        """``/etc/libvirt`` of the private host."""
        return self.directory / "etc"

    @property
    def varlib(self) -> Path:
        """``/var/lib/libvirt`` of the private host."""
        return self.directory / "varlib"

    @property
    def tpm_binds(self) -> dict[str, Path]:
        """What the emulator of TPMs writes to, by where it looks for it; empty without one."""
        places = {"/var/lib/swtpm-localca": "tpm-ca", "/var/log/swtpm": "tpm-log"}
        return {
            place: self.directory / name for place, name in places.items() if Path(place).is_dir()
        }

    @property
    def lock(self) -> Path:
        """The lock that is held while the host is brought up or down."""
        return self.directory / "lock"

    @property
    def record(self) -> Path:
        """Which process the supervisor is."""
        return self.directory / "supervisor.json"

    @property
    def logs(self) -> Path:
        """``/var/log/libvirt`` of the private host."""
        return self.prefix_path / "logs" / "libvirt"

    @property
    def host_log(self) -> Path:
        """What the supervisor says."""
        return self.prefix_path / "logs" / "host.log"

    @property
    def libvirtd_log(self) -> Path:
        """What libvirtd says."""
        return self.logs / "libvirtd.log"

    def write(self, *, uuid: str, run_dir: Path, cache_dir: Path) -> None:
        """Make the directories and write libvirtd's configuration; runs again without harm."""
        for path in (self.etc, self.varlib, self.logs, cache_dir, *self.tpm_binds.values()):
            path.mkdir(parents=True, exist_ok=True)
        (self.etc / "qemu.conf").write_text(_QEMU_CONF)
        text = _LIBVIRTD_CONF.format(run_dir=run_dir, uuid=UUID(uuid))
        (self.etc / "libvirtd.conf").write_text(text)


def read_tail(path: Path, *, lines: int = 5, since: int = 0) -> tuple[str, ...]:
    """The last *lines* lines of a log after byte *since*; empty when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(since, file.tell() - 8192))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.splitlines()[-lines:])
