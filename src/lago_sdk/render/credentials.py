"""What a guest is told by systemd's credentials, in the SMBIOS tables of its machine.

Everybody on the host can read them: public keys only, and no host key. Sources: systemd.exec(5),
systemd.system-credentials(7), tmpfiles.d(5). systemd 252 has no credential for host name and
network yet, so they are files and lines of ``tmpfiles.extra``, which are there before sysinit.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from lago_sdk.render.guest_nics import initiator_name
from lago_sdk.render.networkd import render_links, render_networkd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lago_sdk.plan.models import NetPlan, VMPlan

_BINARY = "io.systemd.credential.binary"
"""Of a value in Base64."""


def render_credentials(
    vm: VMPlan, *, nets: Mapping[str, NetPlan], public_keys: Sequence[str]
) -> tuple[str, ...]:
    """Return the OEM strings (SMBIOS type 11) of the machine of *vm*.

    Args:
        vm: The VM.
        nets: All nets of its prefix, by name.
        public_keys: Keys that may log in as the VM's user and as root: lines of
            ``authorized_keys``.
    """
    keys = "".join(f"{key.strip()}\n" for key in public_keys)
    lines = "".join(f"{line}\n" for line in _tmpfiles(vm, nets, keys))
    return (
        f"{_BINARY}:ssh.authorized_keys.root={_encode(keys)}",
        f"{_BINARY}:tmpfiles.extra={_encode(lines)}",
    )


def _tmpfiles(vm: VMPlan, nets: Mapping[str, NetPlan], keys: str) -> Iterator[str]:
    yield _file("/etc/hostname", f"{vm.hostname}\n")
    # By then systemd has read the name that was there.
    yield f"w /proc/sys/kernel/hostname - - - - {vm.hostname}"
    yield "d /etc/iscsi 0755 root root -"
    yield _file("/etc/iscsi/initiatorname.iscsi", initiator_name(vm))
    yield "d /etc/systemd/network 0755 root root -"
    for path, text in (render_links(vm) | render_networkd(vm, nets)).items():
        yield _file(path, text)
    user = vm.ssh_user
    if user != "root":
        yield f"d /home/{user}/.ssh 0700 {user} {user} -"
        yield _file(f"/home/{user}/.ssh/authorized_keys", keys, mode="0600", owner=user)


def _file(path: str, text: str, *, mode: str = "0644", owner: str = "root") -> str:
    return f"f+~ {path} {mode} {owner} {owner} - {_encode(text)}"


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
