"""What is written into a guest's disk before its first start, where nothing reads a seed.

Lago's rules, which were virt-sysprep's: host name, root's key, the name of the iSCSI initiator,
the nics by their MACs, no waiting boot loader, no units that wait for a crash or for mail, and
labels anew where SELinux has them. Only passwords that somebody asked for are set. Besides, a
guest gets the host key that is pinned for it and a machine id of its own, and cloud-init, which
would undo it, is switched off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from lago_sdk.render.guest_network import STYLE_SIGNS, NetworkStyle, find_style, render_network
from lago_sdk.render.guest_nics import full_name, initiator_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lago_sdk.plan.models import NetPlan, VMPlan

_HOSTS = "/etc/hosts"
_MACHINE_ID = "/etc/machine-id"
_SELINUX = "/etc/selinux/config"
_PASSWD = "/etc/passwd"  # noqa: S105 - a path
_SHADOW = "/etc/shadow"
_SSHD = "/etc/ssh/sshd_config"
_SSHD_PARTS = "/etc/ssh/sshd_config.d"
_CLOUD = "/etc/cloud"
_GRUB = "/etc/default/grub"
_GRUB_MENUS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_WANTS = "/etc/systemd/system/multi-user.target.wants"
_UNITS = tuple(f"{_WANTS}/{name}.service" for name in ("kdump", "postfix"))
"""What Lago took out of Enterprise Linux 7 and Fedora: they take time at every boot."""

READ = (_HOSTS, _SELINUX, _PASSWD, _SHADOW, _SSHD, _GRUB, *_GRUB_MENUS)
"""Files of a guest whose content decides; see `Guest.texts`."""
LOOKED_FOR = (_MACHINE_ID, _CLOUD, _SSHD_PARTS, *_UNITS, *STYLE_SIGNS)
"""Paths of a guest that decide; see `Guest.there`."""


@attrs.frozen(kw_only=True)
class User:
    """Somebody who may log in."""

    name: str
    uid: int
    gid: int
    home: str


@attrs.frozen(kw_only=True)
class Guest:
    """What is in a guest's root file system."""

    texts: Mapping[str, str]
    """Content of those of `READ` that are there."""
    there: frozenset[str]
    """Those of `LOOKED_FOR` that are there."""
    keys: Mapping[str, str] = attrs.field(factory=dict)
    """What its users let in already: content of ``authorized_keys`` by path."""


@attrs.frozen(kw_only=True)
class GuestFile:
    """A file to write."""

    text: str
    mode: int | None = None
    """Permission bits; those that it has, else 0644, when ``None``."""
    owner: User | None = None
    """root when ``None``."""


@attrs.frozen(kw_only=True)
class Injection:
    """Changes to a guest's file system."""

    directories: Mapping[str, User]
    """Directories to make, mode 0700, and whose they are."""
    files: Mapping[str, GuestFile]
    links: Mapping[str, str]
    removed: tuple[str, ...]


def find_users(passwd: str, names: Sequence[str]) -> Mapping[str, User]:
    """Return those of *names* that are in the text of ``/etc/passwd``, by name."""
    found = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[0] in names and fields[2].isdigit() and fields[3].isdigit():
            uid, gid, home = int(fields[2]), int(fields[3]), fields[5].rstrip("/")
            found[fields[0]] = User(name=fields[0], uid=uid, gid=gid, home=home)
    return found


def keys_path(user: User) -> str:
    """Return where OpenSSH looks for the keys that *user* lets in."""
    return f"{user.home}/.ssh/authorized_keys"


def render_injection(
    vm: VMPlan,
    *,
    nets: Mapping[str, NetPlan],
    guest: Guest,
    users: Sequence[User],
    public_keys: Sequence[str],
    passwords: Mapping[str, str],
    host_key_private: str,
    host_key_public: str,
) -> Injection | None:
    """Return what to write into the disk of *vm*; ``None`` where nobody knows how.

    That is where nothing in the guest is known to configure nics, and the VM has some.

    Args:
        vm: The VM.
        nets: All nets of its prefix, by name.
        guest: What is on the disk.
        users: Who shall be able to log in.
        public_keys: With these keys: lines of ``authorized_keys``.
        passwords: Hashes of passwords to set, as crypt(5) has them, by users.
        host_key_private: Its Ed25519 host key in OpenSSH's format.
        host_key_public: The public half: a line of ``ssh_host_ed25519_key.pub``.
    """
    style = find_style(guest.there) if vm.nics else None
    if vm.nics and style is None:
        return None
    key = "/etc/ssh/ssh_host_ed25519_key"
    files = {
        "/etc/hostname": GuestFile(text=f"{vm.hostname}\n"),
        _HOSTS: GuestFile(text=_add_host(guest.texts.get(_HOSTS, ""), vm)),
        "/etc/iscsi/initiatorname.iscsi": GuestFile(text=initiator_name(vm)),
        # OpenSSH refuses a key file without the newline at its end.
        key: GuestFile(text=host_key_private.strip() + "\n", mode=0o600),
        f"{key}.pub": GuestFile(text=host_key_public.strip() + "\n"),
    }
    for user in users:
        path = keys_path(user)
        text = _add_lines(guest.keys.get(path, ""), public_keys)
        files[path] = GuestFile(text=text, mode=0o600, owner=user)
    files |= dict(_edit(guest, vm))
    files |= dict(_set_passwords(guest, vm, passwords))
    configured, links = render_network(vm, nets, style, guest.there) if style else ({}, {})
    mode = 0o600 if style in {NetworkStyle.KEYFILE, NetworkStyle.NETPLAN} else None
    files |= {path: GuestFile(text=text, mode=mode) for path, text in configured.items()}
    return Injection(
        directories={f"{user.home}/.ssh": user for user in users},
        files=files,
        links=links,
        removed=tuple(path for path in _UNITS if path in guest.there),
    )


def _edit(guest: Guest, vm: VMPlan) -> Iterator[tuple[str, GuestFile]]:
    """Yield what depends on what the guest has."""
    if _MACHINE_ID in guest.there:
        # Guests that share one are the same client to a DHCP server.
        yield _MACHINE_ID, GuestFile(text=vm.uuid.replace("-", "") + "\n")
    if _CLOUD in guest.there:
        yield f"{_CLOUD}/cloud-init.disabled", GuestFile(text="")
    if re.search(r"^SELINUX=(enforcing|permissive)\s*$", guest.texts.get(_SELINUX, ""), re.M):
        yield "/.autorelabel", GuestFile(text="")
    for path in _GRUB_MENUS:
        text = guest.texts.get(path, "")
        found = re.sub(r"^(\s*set timeout=)[1-9]\d*", r"\g<1>0", text, flags=re.M)
        if found != text:
            yield path, GuestFile(text=found)
    text = guest.texts.get(_GRUB, "")
    found = re.sub(r"^(GRUB_TIMEOUT=)[\"']?[1-9]\d*[\"']?", r"\g<1>0", text, flags=re.M)
    if found != text:
        yield _GRUB, GuestFile(text=found)


def _set_passwords(
    guest: Guest, vm: VMPlan, passwords: Mapping[str, str]
) -> Iterator[tuple[str, GuestFile]]:
    """Yield the shadow file with passwords in it, and what lets users log in by them."""
    if not passwords:
        return
    rows = [line.split(":") for line in guest.texts.get(_SHADOW, "").splitlines()]
    for row in rows:
        if row[0] in passwords and len(row) > 1:
            row[1] = passwords[row[0]]
    yield _SHADOW, GuestFile(text="".join(":".join(row) + "\n" for row in rows))
    if vm.spec.ssh_password is None:
        return
    wanted = "PasswordAuthentication yes\n"
    if vm.ssh_user == "root":
        wanted += "PermitRootLogin yes\n"
    # The first value that sshd finds is the one that counts.
    if _SSHD_PARTS in guest.there:
        yield f"{_SSHD_PARTS}/00-lago.conf", GuestFile(text=wanted)
    else:
        yield _SSHD, GuestFile(text=wanted + guest.texts.get(_SSHD, ""))


def _add_host(hosts: str, vm: VMPlan) -> str:
    """Return the text of ``/etc/hosts`` with the guest's own name, as cloud-init writes it."""
    kept = [line for line in hosts.splitlines() if line.split()[:1] != ["127.0.1.1"]]
    names = dict.fromkeys([full_name(vm), vm.hostname])
    lines = [*(kept or ["127.0.0.1 localhost", "::1 localhost"]), f"127.0.1.1 {' '.join(names)}"]
    return "".join(f"{line}\n" for line in lines)


def _add_lines(text: str, lines: Sequence[str]) -> str:
    there = text.splitlines()
    new = [line.strip() for line in lines if line.strip() not in there]
    return "".join(f"{line}\n" for line in (*there, *new))
