"""Writing a guest's name, keys and network into its disk, which nobody uses yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import VMError
from lago_sdk.events import stage
from lago_sdk.plan.planner import find_fact
from lago_sdk.ports import EntryKind, OfflineDirectory, OfflineFile, OfflineLink, OfflineVisit
from lago_sdk.render.cloud_init import list_passwords
from lago_sdk.render.injection import (
    LOOKED_FOR,
    READ,
    Guest,
    find_users,
    keys_path,
    render_injection,
)
from lago_sdk.service.making.seeds import create_host_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lago_sdk.plan.models import Plan, VMPlan
    from lago_sdk.ports import OfflineFS, OfflineNode
    from lago_sdk.render.injection import GuestFile, Injection, User
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.service.world import World

_MOST_BYTES = 1 << 20
"""No file that we edit is larger."""


def inject_disk(path: Path, vm: VMPlan, *, plan: Plan, layout: PrefixLayout, world: World) -> None:
    """Write into the first disk of *vm*, which is at *path*, without an appliance.

    Raises:
        ImageError: Its root file system cannot be written to.
        VMError: Its guest lacks what is needed.
    """
    change = _prepare(path, vm, plan=plan, layout=layout, world=world)
    with (
        stage(world.observe, "inject files", vm.name),
        world.disks.open(
            path,
            change.image_format,
            read_only=False,
            root_partition=change.root_partition,
            may_boot=False,
        ) as fs,
    ):
        change.apply(fs)


def inject_disks(
    paths: Mapping[str, Path], *, plan: Plan, layout: PrefixLayout, world: World
) -> None:
    """Write into the first disks of VMs by one appliance.

    Args:
        paths: Where the disks are, by their VMs.
        plan: The plan of the prefix.
        layout: Where the prefix lies.
        world: The ports.

    Raises:
        ImageError: As `inject_disk`.
        VMError: As `inject_disk`.
        MissingToolError: libguestfs is not installed.
    """
    with stage(world.observe, "inject files", ", ".join(paths)) as running:
        running.tell("by libguestfs")
        world.disks.change_all(
            [
                _prepare(path, plan.get_vm(name), plan=plan, layout=layout, world=world)
                for name, path in paths.items()
            ]
        )


def _prepare(
    path: Path, vm: VMPlan, *, plan: Plan, layout: PrefixLayout, world: World
) -> OfflineVisit:
    """Make and pin the host key of *vm*; returns what writes it, and all else, into its disk."""
    private, public = create_host_key(vm, layout=layout, world=world)
    public_key = layout.public_key.read_text(encoding="utf-8")
    disk = vm.disks[0]
    passwords = {
        user: world.keys.hash_password(password) for user, password in list_passwords(vm).items()
    }

    def write(fs: OfflineFS) -> None:
        users = _find_users(vm, fs)
        injection = render_injection(
            vm,
            nets={net.name: net for net in plan.nets},
            guest=_look(fs, users),
            users=users,
            public_keys=[public_key],
            passwords=passwords,
            host_key_private=private,
            host_key_public=public,
        )
        if injection is None:
            raise VMError(
                vm.name,
                f"nothing that is known here configures the nics of {vm.name!r} in its image",
                hint="networkd, netplan, NetworkManager, ifcfg files and ifupdown are known",
            )
        _write(fs, injection)

    return OfflineVisit(
        path=path,
        image_format=disk.format,
        root_partition=find_fact(vm.disks, "root-partition"),
        apply=write,
    )


def _find_users(vm: VMPlan, fs: OfflineFS) -> tuple[User, ...]:
    """Return root and the user whom we log in as.

    Raises:
        VMError: The guest does not have him.
    """
    names = tuple(dict.fromkeys(["root", vm.ssh_user]))
    found = find_users(_read(fs, "/etc/passwd") or "", names)
    for name in names:
        if name not in found:
            raise VMError(
                vm.name,
                f"the image of {vm.name!r} has no user {name!r}, and files cannot make one",
                hint="name one in 'ssh-user' that it has, or use 'bootstrap: seed'",
            )
    return tuple(found[name] for name in names)


def _look(fs: OfflineFS, users: Iterable[User]) -> Guest:
    paths = [keys_path(user) for user in users]
    return Guest(
        texts=_read_all(fs, READ),
        there=frozenset(path for path in LOOKED_FOR if fs.find(path) is not None),
        keys=_read_all(fs, paths),
    )


def _read_all(fs: OfflineFS, paths: Iterable[str]) -> Mapping[str, str]:
    found = ((path, _read(fs, path)) for path in paths)
    return {path: text for path, text in found if text is not None}


def _read(fs: OfflineFS, path: str) -> str | None:
    entry = fs.find(path)
    if entry is None or entry.kind is not EntryKind.FILE or entry.size > _MOST_BYTES:
        return None
    return fs.read_file(path).decode(errors="surrogateescape")


def _write(fs: OfflineFS, injection: Injection) -> None:
    nodes: dict[str, OfflineNode] = {}
    for path, user in injection.directories.items():
        nodes[path] = OfflineDirectory(mode=0o700, uid=user.uid, gid=user.gid)
    for path, file in injection.files.items():
        nodes[path] = _file(fs, path, file)
    for path, target in injection.links.items():
        nodes[path] = OfflineLink(target=target)
    fs.write_files(nodes)
    for path in injection.removed:
        fs.remove(path)


def _file(fs: OfflineFS, path: str, file: GuestFile) -> OfflineFile:
    mode = file.mode
    if mode is None:
        entry = fs.find(path)
        mode = entry.mode if entry is not None and entry.kind is EntryKind.FILE else 0o644
    data = file.text.encode(errors="surrogateescape")
    owner = file.owner
    if owner is None:
        return OfflineFile(data=data, mode=mode)
    return OfflineFile(data=data, mode=mode, uid=owner.uid, gid=owner.gid)
