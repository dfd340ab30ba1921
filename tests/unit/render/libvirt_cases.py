"""Plans whose XML is kept in golden files: one for each device and each kind of net."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs

from lago_sdk.plan.facts import Accel, CpuModel, HostFacts
from lago_sdk.plan.models import (
    AddressMethod,
    DhcpHost,
    DiskPlan,
    DnsRecord,
    NetPlan,
    NicPlan,
    VMPlan,
)
from lago_sdk.spec import (
    BootDevice,
    Bootstrap,
    ConsoleType,
    DiskBus,
    DiskCache,
    DiskFormat,
    DiskSpec,
    Firmware,
    GraphicsType,
    NetSpec,
    NetType,
    NicModel,
    NicSpec,
    ShareSpec,
    TemplateDisk,
    VideoModel,
    VMSpec,
)

PREFIX_UUID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ROOT = "/lab/.lago/default"

TCG = HostFacts(accel=Accel.TCG, emulator="/usr/bin/qemu-system-x86_64")
KVM = attrs.evolve(
    TCG,
    accel=Accel.KVM,
    cpu_vendor="Intel",
    cpu_flags=frozenset({"vmx", "sse2"}),
    cpu_models=(
        CpuModel(name="Westmere", vendor="Intel"),
        CpuModel(name="EPYC", vendor="AMD"),
        CpuModel(name="qemu64", vendor="generic"),
    ),
)
NEW_KVM = attrs.evolve(KVM, libvirt_version=11_000_000)


def net_plan(name="lan", **changes):
    """A NAT net with addresses and nothing else; *changes* are fields of the plan."""
    spec = changes.pop("spec", NetSpec(name=name))
    values = {
        "name": name,
        "network": f"0f1e-{name}",
        "bridge": f"0f1e-{name}",
        "bridge_mac": "52:54:00:0f:1e:01",
        "is_management": False,
        "subnet": IPv4Network("192.168.200.0/24"),
        "gateway": IPv4Address("192.168.200.1"),
        "mtu": spec.mtu,
    }
    return NetPlan(spec=spec, **(values | changes))


NO_ADDRESSES = {"subnet": None, "gateway": None}
IP6 = {"subnet6": IPv6Network("fd00:c8::/64"), "gateway6": IPv6Address("fd00:c8::1")}
DHCP = {
    "dhcp_range": (IPv4Address("192.168.200.100"), IPv4Address("192.168.200.254")),
    "dhcp_hosts": (
        DhcpHost(mac="54:52:c0:a8:c8:02", name="db", ip=IPv4Address("192.168.200.2")),
        DhcpHost(mac="54:52:c0:a8:c8:03", name="web", ip=IPv4Address("192.168.200.3")),
    ),
}
DHCP6 = {
    "dhcp_hosts": (
        DhcpHost(mac="54:52:c0:a8:c8:02", name="db", ip6=IPv6Address("fd00:c8::2")),
        DhcpHost(mac="54:52:c0:a8:c8:03", name="web", ip6=IPv6Address("fd00:c8::3")),
    ),
}
BOTH = {
    "dhcp_range": DHCP["dhcp_range"],
    "dhcp_hosts": tuple(
        attrs.evolve(four, ip6=six.ip6)
        for four, six in zip(DHCP["dhcp_hosts"], DHCP6["dhcp_hosts"], strict=True)
    ),
}
DNS = {
    "is_management": True,
    "dns_domain": "lab.test",
    "dns_records": (
        DnsRecord(ip=IPv4Address("192.168.200.2"), names=("db", "db-lan", "db-lan-0")),
        DnsRecord(ip=IPv6Address("fd00:c8::2"), names=("db",)),
    ),
}


def _net_of(kind, **fields):
    return NetSpec(name="lan", type=kind, **fields)


NETS = {
    "nat": net_plan(),
    "nat-dhcp": net_plan(**DHCP),
    "nat-management": net_plan(**DHCP, **DNS),
    "nat-dual-stack": net_plan(**BOTH, **DNS, **IP6),
    "nat-ip6-only": net_plan(**NO_ADDRESSES, **IP6, **DHCP6, **DNS),
    "nat-without-addresses": net_plan(**NO_ADDRESSES),
    "nat-mtu": net_plan(spec=NetSpec(name="lan", mtu=9000)),
    "nat-wide": net_plan(
        subnet=IPv4Network("10.10.0.0/22"),
        gateway=IPv4Address("10.10.3.254"),
        dhcp_range=(IPv4Address("10.10.1.0"), IPv4Address("10.10.1.255")),
    ),
    "isolated": net_plan(spec=_net_of(NetType.ISOLATED), **DHCP, **IP6),
    "routed": net_plan(spec=_net_of(NetType.ROUTED), **DHCP, **IP6),
    "bridge-own": net_plan(spec=_net_of(NetType.BRIDGE, mtu=1400), **NO_ADDRESSES),
    "bridge-of-host": net_plan(spec=_net_of(NetType.BRIDGE, bridge="br0"), **NO_ADDRESSES),
}
"""Golden file `network-<key>.xml` each."""


def disk_plan(dev="vda", bus=DiskBus.VIRTIO, image_format=DiskFormat.QCOW2, **changes):
    """A disk of the prefix; *changes* are fields of the plan."""
    values = {
        "spec": TemplateDisk(template_name="tiny"),
        "name": dev,
        "path": f"images/web_{dev}.{image_format.value}",
    }
    return DiskPlan(dev=dev, bus=bus, format=image_format, **(values | changes))


def nic_plan(index=0, net="lan", **spec):
    return NicPlan(
        spec=NicSpec(net=net, **spec),
        index=index,
        net=net,
        mac=f"54:52:c0:a8:c8:{index + 2:02x}",
        ip=IPv4Address("192.168.200.2") + index,
        method=AddressMethod.DHCP,
    )


ROOT_DISK = disk_plan()


def vm_plan(*, disks=(ROOT_DISK,), nics=(), seed=None, road=Bootstrap.NONE, **spec):
    """A VM with one disk; *spec* are fields of its spec."""
    return VMPlan(
        spec=VMSpec(name="web", **({"memory": 512, "vcpu": 1} | spec)),
        name="web",
        domain="0f1e2d3c-web",
        uuid="6c61676f-0000-5000-8000-0f1e2d3c4b5a",
        nics=nics,
        disks=disks,
        management="lan" if nics else "",
        bootstrap=Bootstrap.SEED if seed else road,
        seed=seed,
        console_log="logs/console-web.log",
        hostname="web",
    )


CUSTOM_CPU = {
    "@mode": "custom",
    "@match": "minimum",
    "model": {"@fallback": "allow", "#text": "Nehalem"},
    "feature": [{"@policy": "optional", "@name": "vmx"}, {"@policy": "disable", "@name": "aes"}],
}
ISO = DiskFormat.ISO
SCSI = DiskBus.SCSI
MANY = [f"sd{letter}" for letter in "abcdefghijklmnopqr"]
SHARE = ShareSpec(source="/srv/packages", tag="pkgs")
EXTRA_DOMAIN = """\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <description>merged</description>
  <memory unit='GiB'>2</memory>
  <features><vmport state='off'/></features>
  <devices><watchdog model='i6300esb' action='reset'/></devices>
  <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>
</domain>
"""

VMS = {
    "bare": (vm_plan(disks=()), TCG),
    "usual": (vm_plan(nics=(nic_plan(),), seed="images/web-seed.iso", vcpu=2), TCG),
    "kvm": (vm_plan(nics=(nic_plan(),), seed="images/web-seed.iso", vcpu=4, memory=2047), KVM),
    "credentials": (vm_plan(nics=(nic_plan(),), road=Bootstrap.CREDENTIALS), TCG),
    "cpu-model": (vm_plan(cpu_model="Westmere", vcpu=2), TCG),
    "cpu-model-nested": (vm_plan(cpu_model="Westmere"), KVM),
    "cpu-custom": (vm_plan(cpu_custom=CUSTOM_CPU, vcpu=3), TCG),
    "nics": (
        vm_plan(
            nics=(
                *(nic_plan(index, model=model) for index, model in enumerate(NicModel)),
                nic_plan(4, net="jumbo"),
            )
        ),
        TCG,
    ),
    "disk-buses": (
        vm_plan(
            disks=(
                disk_plan("sda", SCSI),
                disk_plan("vda"),
                disk_plan("vdb", image_format=DiskFormat.RAW, path="/srv/images/data.raw"),
                disk_plan("sdb", DiskBus.SATA),
            ),
            seed="images/web-seed.iso",
        ),
        TCG,
    ),
    "disk-options": (
        vm_plan(
            disks=tuple(
                disk_plan(f"vd{letter}", spec=DiskSpec(cache=cache, serial=f"DISK000{letter}"))
                for letter, cache in zip("abcde", DiskCache, strict=True)
            )
        ),
        TCG,
    ),
    "disks-many-scsi": (vm_plan(disks=tuple(disk_plan(dev, SCSI) for dev in MANY)), TCG),
    "disk-ide-on-q35": (
        vm_plan(disks=(disk_plan("hda", DiskBus.IDE), disk_plan("hdc", DiskBus.IDE, ISO))),
        TCG,
    ),
    "disk-ide-on-pc": (
        vm_plan(
            disks=(disk_plan("hda", DiskBus.IDE), disk_plan("hdc", DiskBus.IDE, ISO)),
            machine="pc",
        ),
        TCG,
    ),
    "cdroms": (
        vm_plan(
            disks=(disk_plan(), disk_plan("vdb", image_format=ISO), disk_plan("sda", SCSI, ISO))
        ),
        TCG,
    ),
    "boot-order": (
        vm_plan(
            disks=(disk_plan(), disk_plan("sda", SCSI, ISO)),
            nics=(nic_plan(),),
            seed="images/web-seed.iso",
            boot=(BootDevice.CDROM, BootDevice.NETWORK, BootDevice.DISK),
        ),
        TCG,
    ),
    "kernel": (
        vm_plan(
            kernel="/boot/vmlinuz", initrd="images/initrd", cmdline="console=ttyS0 root=/dev/vda"
        ),
        TCG,
    ),
    "console-virtio": (vm_plan(console=ConsoleType.VIRTIO), TCG),
    **{f"video-{model.value}": (vm_plan(video=model), TCG) for model in VideoModel},
    "graphics-vnc": (vm_plan(graphics=GraphicsType.VNC), TCG),
    "graphics-spice": (vm_plan(graphics=GraphicsType.SPICE), TCG),
    "efi": (vm_plan(firmware=Firmware.EFI), TCG),
    "efi-secure-boot": (vm_plan(firmware=Firmware.EFI, secure_boot=True), TCG),
    "tpm": (vm_plan(tpm=True), TCG),
    "share": (vm_plan(shares=(SHARE,), vcpu=2), TCG),
    "share-read-only": (vm_plan(shares=(attrs.evolve(SHARE, read_only=True),)), NEW_KVM),
    "xml-devices": (
        vm_plan(xml="<watchdog model='i6300esb' action='reset'/>\n<sound model='ich9'/>"),
        TCG,
    ),
    "xml-domain": (vm_plan(xml=EXTRA_DOMAIN), TCG),
}
"""Plan and host; golden file `domain-<key>.xml` each."""

NETS_OF_VMS = {
    "lan": net_plan(),
    "jumbo": net_plan("jumbo", spec=NetSpec(name="jumbo", mtu=9000)),
}
