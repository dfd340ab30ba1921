"""What was asked of one VM."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from lago_sdk.spec.disk import DiskSpec
from lago_sdk.spec.keys import key
from lago_sdk.spec.nic import NicSpec

LOCAL = frozenset({None, "local-libvirt"})
"""Values of ``vm-provider`` of VMs that run on the prefix's host."""


class Bootstrap(enum.Enum):
    """How a guest learns its name, keys and network at first boot."""

    AUTO = "auto"
    """What its image supports, by what its metadata says or a look into it shows."""
    SEED = "seed"
    """A NoCloud medium (``CIDATA``), read by cloud-init and its like."""
    INJECT = "inject"
    """Files written into its disk before the first start: ext2, ext3 and ext4."""
    CREDENTIALS = "credentials"
    """systemd's credentials, in the machine's SMBIOS tables; systemd 252 or later reads them."""
    GUESTFS = "guestfs"
    """As ``inject``, by libguestfs: LVM, xfs, btrfs and whatever Linux knows."""
    NONE = "none"
    """The image knows already, or nobody needs it to."""


class Firmware(enum.Enum):
    """What the machine boots with."""

    BIOS = "bios"
    EFI = "efi"


class VideoModel(enum.Enum):
    """Emulated display, in libvirt's words."""

    NONE = "none"
    VGA = "vga"
    CIRRUS = "cirrus"
    VIRTIO = "virtio"
    QXL = "qxl"


class GraphicsType(enum.Enum):
    """Protocol by which somebody can sit at the display."""

    NONE = "none"
    VNC = "vnc"
    SPICE = "spice"


class ConsoleType(enum.Enum):
    """Text console of the machine."""

    SERIAL = "serial"
    """A 16550 serial port, which every kernel and boot loader can use."""
    VIRTIO = "virtio"
    """A virtio console beside the serial port."""


class BootDevice(enum.Enum):
    """Where firmware looks for something to boot."""

    DISK = "hd"
    CDROM = "cdrom"
    NETWORK = "network"


@attrs.frozen(kw_only=True)
class ShareSpec:
    """A directory of the host that the guest can mount by virtiofs."""

    source: str = attrs.field(
        metadata=key("source", "Directory of the host.", example="$LAGO_INITFILE_PATH/packages")
    )
    tag: str = attrs.field(
        metadata=key("tag", "What the guest mounts: `mount -t virtiofs TAG /mnt`.", example="pkgs")
    )
    read_only: bool = attrs.field(
        default=False, metadata=key("read-only", "Whether the guest may not write to it.")
    )


@attrs.frozen(kw_only=True)
class VMSpec:
    """One virtual machine."""

    name: str
    """Its name and host name: the key under ``domains``."""
    memory: int = attrs.field(
        default=1024,
        metadata=key(
            "memory",
            "Memory: a number of MiB, or a size with a unit.",
            unit="MiB",
            example="2GiB",
            lago="Lago gave 16 GiB where nothing was said; few test hosts have that",
        ),
    )
    max_memory: int | None = attrs.field(
        default=None,
        metadata=key(
            "max-memory",
            "Memory that it can be given while it runs; `memory` when absent. The guest needs a "
            "driver for the balloon (virtio_balloon) to leave the rest alone.",
            unit="MiB",
            example="4GiB",
        ),
    )
    vcpu: int = attrs.field(default=2, metadata=key("vcpu", "Number of virtual CPUs."))
    max_vcpu: int | None = attrs.field(
        default=None,
        metadata=key(
            "max-vcpu",
            "Number of virtual CPUs that it can be given while it runs; `vcpu` when absent.",
            example="4",
        ),
    )
    cpu_model: str | None = attrs.field(
        default=None,
        metadata=key(
            "cpu_model",
            "CPU model in libvirt's words, matched exactly. Without it the guest sees "
            "the host's CPU (or all that emulation can do).",
            example="Westmere",
        ),
    )
    cpu_custom: Mapping[str, Any] | None = attrs.field(
        default=None,
        metadata=key(
            "cpu_custom",
            "The whole `<cpu>` element: `@name` is an attribute, `#text` the text. "
            "Not together with `cpu_model`.",
        ),
    )
    nics: tuple[NicSpec, ...] = attrs.field(
        default=(), metadata=key("nics", "Network interfaces, in the order the guest sees.")
    )
    disks: tuple[DiskSpec, ...] = attrs.field(
        default=(), metadata=key("disks", "Disks; the first is the one that boots.")
    )
    ova: str | None = attrs.field(
        default=None,
        metadata=key(
            "url",
            "With `type: ova`: archive whose disks, memory and CPUs the VM takes; a path or a URL.",
            example="appliance.ova",
        ),
    )
    vm_type: str | None = attrs.field(
        default=None, metadata=key("vm-type", "Kind of VM; a plugin's name.", example="default")
    )
    vm_provider: str | None = attrs.field(
        default=None,
        metadata=key("vm-provider", "What runs the VM.", choices=("local-libvirt", "ssh")),
    )
    service_provider: str | None = attrs.field(
        default=None,
        metadata=key(
            "service_provider",
            "What manages services in the guest; found out when absent.",
            aliases=("service_class",),
            choices=("systemd", "sysvinit", "systemdcontainer"),
        ),
    )
    distro: str | None = attrs.field(
        default=None, metadata=key("distro", "Distribution in the guest.", example="debian")
    )
    root_password: str | None = attrs.field(
        default=None,
        metadata=key("root-password", "Password of root; without it root has none to log in with."),
    )
    ssh_user: str | None = attrs.field(
        default=None, metadata=key("ssh-user", "User to log in as; `root` when absent.")
    )
    ssh_password: str | None = attrs.field(
        default=None,
        metadata=key(
            "ssh-password",
            "Password to log in with where the guest does not take the prefix's key.",
            lago="Lago always set one; keys are used here unless you set a password",
        ),
    )
    ssh_host: str | None = attrs.field(
        default=None,
        metadata=key(
            "ssh-host",
            "With `vm-provider: ssh`: address or host name of the machine, as this machine "
            "reaches it; the address of its nic on the management net when absent.",
            example="build7.example.org",
        ),
    )
    ssh_port: int = attrs.field(
        default=22, metadata=key("ssh-port", "TCP port that its ssh server listens on.")
    )
    ssh_key: str | None = attrs.field(
        default=None,
        metadata=key(
            "ssh-key",
            "Private key to log in with, without a passphrase; the prefix's own when absent.",
            example="~/.ssh/id_ed25519",
        ),
    )
    boot_time_sec: int = attrs.field(
        default=600, metadata=key("boot_time_sec", "How long a boot may take.", unit="seconds")
    )
    bootstrap: Bootstrap = attrs.field(
        default=Bootstrap.AUTO,
        metadata=key(
            "bootstrap",
            "How the guest learns its name, keys and network: see [Bootstrap](bootstrap.md). "
            "`true` is `auto`, `false` is `none`.",
        ),
    )
    artifacts: tuple[str, ...] = attrs.field(
        default=(), metadata=key("artifacts", "Paths in the guest that `collect` fetches.")
    )
    groups: tuple[str, ...] = attrs.field(
        default=(), metadata=key("groups", "Groups of the Ansible inventory it is in.")
    )
    metadata: Mapping[str, Any] = attrs.field(
        factory=dict, metadata=key("metadata", "Free-form facts, shown by `status`.")
    )
    deploy_scripts: tuple[str, ...] = attrs.field(default=())
    """Scripts that ``deploy`` runs in the guest: the key ``deploy-scripts`` of ``metadata``."""
    skip_export: bool = attrs.field(
        default=False, metadata=key("skip-export", "Leave the VM out of exports.")
    )
    firmware: Firmware = attrs.field(
        default=Firmware.BIOS, metadata=key("firmware", "What the machine boots with.")
    )
    secure_boot: bool = attrs.field(
        default=False, metadata=key("secure-boot", "Enforce Secure Boot; needs `firmware: efi`.")
    )
    tpm: bool = attrs.field(default=False, metadata=key("tpm", "Emulate a TPM 2.0."))
    machine: str | None = attrs.field(
        default=None,
        metadata=key("machine", "QEMU machine type; `q35` when absent.", example="q35"),
    )
    boot: tuple[BootDevice, ...] = attrs.field(
        default=(), metadata=key("boot", "Where the firmware looks, in order; disks when absent.")
    )
    kernel: str | None = attrs.field(
        default=None, metadata=key("kernel", "Kernel to boot without firmware or boot loader.")
    )
    initrd: str | None = attrs.field(
        default=None, metadata=key("initrd", "Initial RAM disk for `kernel`.")
    )
    cmdline: str | None = attrs.field(
        default=None, metadata=key("cmdline", "Command line for `kernel`.", example="console=ttyS0")
    )
    user_data: str | Mapping[str, Any] | None = attrs.field(
        default=None,
        metadata=key(
            "user-data",
            "cloud-init user data: a map (merged under what the library adds), or a script.",
        ),
    )
    console: ConsoleType = attrs.field(
        default=ConsoleType.SERIAL, metadata=key("console", "Text console of the machine.")
    )
    video: VideoModel = attrs.field(
        default=VideoModel.VGA, metadata=key("video", "Emulated display.")
    )
    graphics: GraphicsType = attrs.field(
        default=GraphicsType.NONE,
        metadata=key(
            "graphics",
            "Serve the display by this protocol: on the host's loopback only, with a password "
            "that `lagoctl display` tells.",
            lago="Lago's first versions served VNC to everybody, without a password",
        ),
    )
    shares: tuple[ShareSpec, ...] = attrs.field(
        default=(), metadata=key("shares", "Directories of the host for the guest (virtiofs).")
    )
    xml: str | None = attrs.field(
        default=None,
        metadata=key(
            "xml",
            "Further libvirt XML: elements put into `<devices>`, "
            "or a `<domain>` element whose children are merged.",
        ),
    )
