"""The devices of a domain beside its disks (https://libvirt.org/formatdomain.html#devices)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lago_sdk.errors import VMError
from lago_sdk.render.elements import add, write
from lago_sdk.render.network import STANDARD_MTU
from lago_sdk.spec.vm import BootDevice, ConsoleType, GraphicsType, VideoModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from lago_sdk.plan.facts import HostFacts
    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan
    from lago_sdk.spec.vm import ShareSpec

_AGENT_CHANNEL = "org.qemu.guest_agent.0"
_READ_ONLY_SHARES = 11_000_000
"""The first libvirt that can make a virtiofs share read-only."""


def add_nic(
    devices: ET.Element, nic: NicPlan, net: NetPlan, *, boot_order: int | None = None
) -> None:
    """Plug a network interface into the libvirt network of *net*."""
    interface = add(devices, "interface", {"type": "network"})
    add(interface, "mac", {"address": nic.mac})
    add(interface, "source", {"network": net.network})
    add(interface, "model", {"type": nic.spec.model.value})
    if net.mtu != STANDARD_MTU:
        add(interface, "mtu", {"size": str(net.mtu)})
    if boot_order is None:
        # The firmware runs the boot ROM of each card, whether it boots from it or not.
        add(interface, "rom", {"enabled": "no"})
    else:
        add(interface, "boot", {"order": str(boot_order)})


def render_nic(nic: NicPlan, net: NetPlan) -> str:
    """Return the ``<interface>`` of *nic* by itself, to be plugged into a domain that runs."""
    devices = ET.Element("devices")
    add_nic(devices, nic, net)
    return write(devices[0])


def add_nics(
    devices: ET.Element,
    vm: VMPlan,
    nets: Mapping[str, NetPlan],
    boot_orders: Mapping[tuple[BootDevice, int], int],
) -> None:
    """Add all network interfaces of *vm* in the order of its nics."""
    for nic in vm.nics:
        order = boot_orders.get((BootDevice.NETWORK, nic.index))
        add_nic(devices, nic, nets[nic.net], boot_order=order)


def add_consoles(devices: ET.Element, vm: VMPlan, root: PurePosixPath) -> None:
    """Add the serial port, logged to the prefix's file, and a virtio console where asked for."""
    serial = add(devices, "serial", {"type": "pty"})
    add(serial, "log", {"file": str(root / vm.console_log), "append": "on"})
    add(serial, "target", {"port": "0"})
    console = add(devices, "console", {"type": "pty"})
    add(console, "target", {"type": "serial", "port": "0"})
    if vm.spec.console is ConsoleType.VIRTIO:
        console = add(devices, "console", {"type": "pty"})
        log = str(root / vm.console_log) + ".virtio"
        add(console, "log", {"file": log, "append": "on"})
        add(console, "target", {"type": "virtio", "port": "1"})


def add_agent_channel(devices: ET.Element) -> None:
    """Add the port over which the QEMU guest agent talks."""
    channel = add(devices, "channel", {"type": "unix"})
    add(channel, "target", {"type": "virtio", "name": _AGENT_CHANNEL})


def add_video(devices: ET.Element, model: VideoModel) -> None:
    """Add a display; it opens no port, and screenshots see it."""
    add(add(devices, "video"), "model", {"type": model.value})


def add_graphics(devices: ET.Element, vm: VMPlan, password: str | None) -> None:
    """Serve the display on the host's loopback, where the spec asks for it.

    Raises:
        VMError: There is no password: nobody may serve a display without one.
    """
    kind = vm.spec.graphics
    if kind is GraphicsType.NONE:
        return
    if not password:
        raise VMError(vm.name, f"the display of {vm.name!r} is not served without a password")
    address = {"type": kind.value, "autoport": "yes", "passwd": password}
    graphics = add(devices, "graphics", address)
    add(graphics, "listen", {"type": "address", "address": "127.0.0.1"})
    # The pointer is where the viewer's is; the machine has no USB for the usual tablet.
    add(devices, "input", {"type": "tablet", "bus": "virtio"})
    # Else SPICE brings a sound backend, which may not be installed.
    add(devices, "audio", {"id": "1", "type": "none"})


def add_small_devices(devices: ET.Element) -> None:
    """Add entropy, a balloon that takes memory, and a port on which a guest says that it panicked.

    What the balloon took is gone: were it to deflate by itself, Linux would go on to count it.
    """
    rng = add(devices, "rng", {"model": "virtio"})
    add(rng, "backend", {"model": "random"}, text="/dev/urandom")
    add(devices, "memballoon", {"model": "virtio"})
    add(devices, "panic", {"model": "isa"})


def add_tpm(devices: ET.Element) -> None:
    """Add a TPM 2.0, which swtpm emulates."""
    tpm = add(devices, "tpm", {"model": "tpm-crb"})
    add(tpm, "backend", {"type": "emulator", "version": "2.0"})


def add_share(
    devices: ET.Element, vm: VMPlan, share: ShareSpec, facts: HostFacts, root: PurePosixPath
) -> None:
    """Add a directory of the host (virtiofs).

    Raises:
        VMError: It should be read-only, and this libvirt cannot do that.
    """
    filesystem = add(devices, "filesystem", {"type": "mount", "accessmode": "passthrough"})
    add(filesystem, "driver", {"type": "virtiofs"})
    add(filesystem, "source", {"dir": str(root / share.source)})
    add(filesystem, "target", {"dir": share.tag})
    if not share.read_only:
        return
    if facts.libvirt_version < _READ_ONLY_SHARES:
        raise VMError(
            vm.name,
            f"share {share.tag!r} of {vm.name!r} cannot be read-only: libvirt 11.0 is the first "
            "that can do it",
            hint="share a read-only bind mount of the directory, or leave out read-only",
        )
    add(filesystem, "readonly")
