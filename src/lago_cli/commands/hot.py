"""Verbs that change a VM while it runs: its disks, nics, cables, processors, memory."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from lago_cli.commands.shell import find_vm
from lago_cli.session import Session
from lago_cli.units import parse_size
from lago_cli.verbs import new_family, verb

app = new_family()

_MEBIBYTE = 1 << 20
_VM = Annotated[str, typer.Argument(metavar="VM", help="The VM.")]


class Link(enum.StrEnum):
    """Whether the cable is in."""

    UP = "up"
    DOWN = "down"


@verb(
    app,
    "lagoctl attach-disk web --size 1G --name data",
    "lagoctl attach-disk web --path images/data.qcow2",
    "lagoctl attach-disk web --template tiny",
)
def attach_disk(
    session: Session,
    vm: _VM,
    *,
    size: Annotated[str | None, typer.Option(help="Make an empty disk of it: 512M, 10G.")] = None,
    path: Annotated[Path | None, typer.Option(help="Use this image, as it is.")] = None,
    template: Annotated[str | None, typer.Option(help="Make an overlay of it.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the disk.")] = None,
    image_format: Annotated[
        str, typer.Option("--image-format", help="qcow2 or raw; of a new or existing image.")
    ] = "qcow2",
) -> None:
    """Plug a disk into a VM, also while it runs.

    It stays until it is detached. Its serial number is its name.
    """
    kinds = {"size": size, "path": path, "template": template}
    given = [kind for kind, value in kinds.items() if value is not None]
    if len(given) != 1:
        from lago_sdk import LagoError

        message = f"attach-disk takes one of --size, --path and --template, not {len(given)}"
        raise LagoError(message, hint="for an empty disk: lagoctl attach-disk VM --size 1G")
    forms: dict[str, dict[str, object]] = {
        "size": {"type": "empty", "size": size, "format": image_format},
        "path": {"type": "file", "path": str(path), "format": image_format},
        "template": {"type": "template", "template_name": template},
    }
    words = forms[given[0]]
    named = words if name is None else {**words, "name": name}
    disk = find_vm(session.open_prefix(), vm).attach_disk(named)
    session.say(f"attached {disk.name} as {disk.dev}")


@verb(app, "lagoctl detach-disk web data")
def detach_disk(
    session: Session,
    vm: _VM,
    name: Annotated[str, typer.Argument(metavar="DISK", help="Its name.")],
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the guest may take.")
    ] = 30.0,
) -> None:
    """Take a disk out of a VM, also while it runs.

    Its image is kept until the prefix is destroyed.
    """
    path = find_vm(session.open_prefix(), vm).detach_disk(name, timeout=timeout)
    session.say(f"detached {name}; its image is {path}")


@verb(app, "lagoctl attach-nic web back", "lagoctl attach-nic web back --ip 192.168.210.50")
def attach_nic(
    session: Session,
    vm: _VM,
    net: Annotated[str, typer.Argument(metavar="NET", help="The net it is plugged into.")],
    *,
    ip: Annotated[str | None, typer.Option(help="Its IPv4 address; the next when absent.")] = None,
    mac: Annotated[str | None, typer.Option(help="Its MAC.")] = None,
) -> None:
    """Plug a nic into a VM, also while it runs.

    It stays until it is detached. In a guest that runs somebody has to configure it.
    """
    asked = {key: text for key, text in {"net": net, "ip": ip, "mac": mac}.items() if text}
    nic = find_vm(session.open_prefix(), vm).attach_nic(asked)
    address = nic.ip or nic.ip6 or "no address"
    session.say(f"attached eth{nic.index} on {net}: {nic.mac}, {address}")


@verb(app, "lagoctl detach-nic web eth1")
def detach_nic(
    session: Session,
    vm: _VM,
    nic: Annotated[str, typer.Argument(metavar="NIC", help="eth1, eth2, …")],
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the guest may take.")
    ] = 30.0,
) -> None:
    """Take a nic out of a VM, also while it runs.

    The one that ssh goes over cannot be taken out.
    """
    find_vm(session.open_prefix(), vm).detach_nic(_parse_index(nic), timeout=timeout)
    session.say(f"detached {nic}")


@verb(app, "lagoctl link web eth0 down", "lagoctl link web eth0")
def link(
    session: Session,
    vm: _VM,
    nic: Annotated[str, typer.Argument(metavar="NIC", help="eth0, eth1, …")],
    state: Annotated[
        Link | None, typer.Argument(metavar="STATE", help="up or down; shown when absent.")
    ] = None,
) -> None:
    """Pull the cable of a nic, or plug it in.

    A cable that was pulled is in again after the VM's next start.
    """
    machine = find_vm(session.open_prefix(), vm)
    index = _parse_index(nic)
    if state is None:
        shown = "up" if machine.has_link(index) else "down"
        session.write({"nic": nic, "link": shown}, shown)
        return
    machine.set_link(index, is_up=state is Link.UP)
    session.say(f"{nic} of {machine.name} is {state}")


@verb(app, "lagoctl set-vcpus web 4")
def set_vcpus(
    session: Session,
    vm: _VM,
    count: Annotated[int, typer.Argument(metavar="COUNT", help="Up to max-vcpu of the VM.")],
) -> None:
    """Give a VM more or fewer virtual CPUs, also while it runs."""
    find_vm(session.open_prefix(), vm).set_vcpus(count)
    session.say(f"{vm} has {count} virtual CPUs")


@verb(app, "lagoctl set-memory web 512", "lagoctl set-memory web 2GiB")
def set_memory(
    session: Session,
    vm: _VM,
    size: Annotated[
        str, typer.Argument(metavar="SIZE", help="Up to max-memory of the VM; a number is MiB.")
    ],
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the guest may take.")
    ] = 30.0,
) -> None:
    """Give a VM more or less memory, also while it runs."""
    mebibytes = int(size) if size.isdecimal() else parse_size(size) // _MEBIBYTE
    find_vm(session.open_prefix(), vm).set_memory(mebibytes, timeout=timeout)
    session.say(f"{vm} has {mebibytes} MiB of memory")


def _parse_index(nic: str) -> int:
    from lago_sdk import LagoError

    number = nic.removeprefix("eth")
    if number.isdecimal():
        return int(number)
    raise LagoError(f"{nic!r} is no nic", hint="nics are called eth0, eth1, … in their order")
