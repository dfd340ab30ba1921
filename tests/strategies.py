"""Hypothesis strategies for specs: everything an init file can say, and sound as a whole."""

import string
from ipaddress import IPv4Network, IPv6Network

from hypothesis import strategies as st

from lago_sdk.spec import (
    BootDevice,
    Bootstrap,
    BuildStep,
    ConsoleType,
    DhcpRange,
    DiskBus,
    DiskCache,
    DiskFormat,
    DiskSpec,
    EmptyDisk,
    FileDisk,
    Firmware,
    GraphicsType,
    NetSpec,
    NetType,
    NicModel,
    NicSpec,
    PrefixSpec,
    ShareSpec,
    SubnetChoice,
    TemplateDisk,
    TemplateType,
    VideoModel,
    VMSpec,
)

MIB = 1024**2

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text at all that UTF-8 can write."""
words = st.text(string.ascii_letters + string.digits + "_./$-", min_size=1, max_size=12)
host_names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
net_names = st.from_regex(r"[a-z][a-z0-9]{0,8}([-_][a-z0-9]{1,4})?", fullmatch=True)
dev_letters = string.ascii_lowercase


def optional(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def scalars() -> st.SearchStrategy:
    return st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts


def free_maps() -> st.SearchStrategy[dict]:
    """Free-form maps as JSON and YAML both know them."""
    values = st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    )
    return st.dictionaries(texts.filter(_is_free), values, max_size=3)


def _is_free(name: str) -> bool:
    return name not in {"deploy-scripts", "ovirt-scripts"}


def sizes() -> st.SearchStrategy[int]:
    return st.integers(MIB, 2**62) | st.integers(1, 64).map(lambda n: n * 1024**3)


@st.composite
def disks(draw: st.DrawFn, index: int) -> DiskSpec:
    common = {
        "name": draw(st.sampled_from(["", f"d{index}", f"data {index}"])),
        "dev": draw(st.sampled_from([None, f"vd{dev_letters[index]}", f"sd{dev_letters[index]}"])),
        "bus": draw(st.sampled_from([None, *DiskBus])),
        "serial": draw(optional(words)),
        "cache": draw(st.sampled_from([None, *DiskCache])),
        "metadata": draw(free_maps()),
        "build": tuple(
            BuildStep(builder="virt-customize", options=options)
            for options in draw(st.lists(free_maps(), max_size=2))
        ),
        "skip_export": draw(st.booleans()),
        "comment": draw(optional(texts)),
    }
    kind = draw(st.sampled_from([TemplateDisk, EmptyDisk, FileDisk]))
    if kind is EmptyDisk:
        image_format = draw(st.sampled_from([DiskFormat.QCOW2, DiskFormat.RAW]))
        return EmptyDisk(**common, format=image_format, size=draw(sizes()))
    common["format"] = draw(st.sampled_from(DiskFormat))
    if kind is FileDisk:
        return FileDisk(
            **common,
            path=draw(words),
            url=draw(optional(texts)),
            make_a_copy=draw(st.booleans()),
        )
    return TemplateDisk(
        **common,
        template_name=draw(words),
        template_version=draw(optional(words)),
        template_type=draw(st.sampled_from(TemplateType)),
        path=draw(words),
        size=draw(optional(sizes())),
    )


@st.composite
def nets(draw: st.DrawFn, name: str, index: int, management: bool | None) -> NetSpec:
    kind = draw(st.sampled_from(NetType))
    subnet = draw(
        st.sampled_from([SubnetChoice.AUTO, SubnetChoice.NONE, IPv4Network(f"10.{index}.0.0/22")])
    )
    subnet6 = draw(
        st.sampled_from(
            [SubnetChoice.AUTO, SubnetChoice.NONE, IPv6Network(f"fd00:0:0:{index}::/64")]
        )
    )
    addressed = subnet is not SubnetChoice.NONE
    return NetSpec(
        name=name,
        type=kind,
        management=management,
        dhcp=draw(optional(st.just(DhcpRange(start=100, end=200)))) if addressed else None,
        gw=draw(optional(st.just(f"10.{index}.0.1"))) if addressed else None,
        subnet=subnet,
        subnet6=subnet6,
        dns_domain_name=draw(optional(host_names)) if management else None,
        main_dns=draw(st.sampled_from([None, False])),
        dns_records=draw(
            st.dictionaries(texts, st.sampled_from(["192.0.2.1", "2001:db8::1"]), max_size=2)
        ),
        mtu=draw(st.integers(1280, 9000)),
        bridge=draw(optional(st.just(f"br{index}"))) if kind is NetType.BRIDGE else None,
    )


@st.composite
def nics(draw: st.DrawFn, net: NetSpec, serial: int) -> NicSpec:
    ip = ip6 = None
    if isinstance(net.subnet, IPv4Network):
        ip = draw(optional(st.just(str(net.subnet.network_address + 300 + serial))))
    if isinstance(net.subnet6, IPv6Network):
        ip6 = draw(optional(st.just(str(net.subnet6.network_address + 300 + serial))))
    return NicSpec(
        net=net.name,
        ip=ip,
        ip6=ip6,
        mac=draw(optional(st.just(f"52:54:00:00:00:{serial:02x}"))),
        model=draw(st.sampled_from(NicModel)),
    )


@st.composite
def vms(draw: st.DrawFn, name: str, on: list[NetSpec], serial: int) -> VMSpec:
    firmware = draw(st.sampled_from(Firmware))
    kernel = draw(optional(words))
    video = draw(st.sampled_from(VideoModel))
    cpu = draw(st.sampled_from(["host", "model", "custom"]))
    return VMSpec(
        name=name,
        memory=draw(st.integers(1, 16 * MIB)),
        vcpu=draw(st.integers(1, 64)),
        cpu_model="Westmere" if cpu == "model" else None,
        cpu_custom=draw(free_maps()) if cpu == "custom" else None,
        nics=tuple(draw(nics(net, serial * 10 + index)) for index, net in enumerate(on)),
        disks=tuple(draw(disks(index)) for index in range(draw(st.integers(0, 2)))),
        ova=draw(optional(words)),
        vm_type=draw(optional(texts)),
        vm_provider=draw(st.sampled_from([None, "local-libvirt", "ssh"])),
        service_provider=draw(st.sampled_from([None, "systemd", "launchd"])),
        distro=draw(optional(texts)),
        root_password=draw(optional(texts)),
        ssh_user=draw(optional(texts)),
        ssh_password=draw(optional(texts)),
        boot_time_sec=draw(st.integers(1, 10_000)),
        bootstrap=draw(st.sampled_from(Bootstrap)),
        artifacts=tuple(draw(st.lists(texts, max_size=2))),
        groups=tuple(draw(st.lists(texts, max_size=2))),
        metadata=draw(free_maps()),
        deploy_scripts=tuple(draw(st.lists(texts, max_size=2))),
        skip_export=draw(st.booleans()),
        firmware=firmware,
        secure_boot=draw(st.booleans()) if firmware is Firmware.EFI else False,
        tpm=draw(st.booleans()),
        machine=draw(optional(words)),
        boot=tuple(draw(st.lists(st.sampled_from(BootDevice), unique=True))),
        kernel=kernel,
        initrd=draw(optional(words)) if kernel else None,
        cmdline=draw(optional(texts)) if kernel else None,
        user_data=draw(optional(texts | free_maps() | scripts())),
        console=draw(st.sampled_from(ConsoleType)),
        video=video,
        graphics=draw(st.sampled_from(GraphicsType))
        if video is not VideoModel.NONE
        else GraphicsType.NONE,
        shares=tuple(
            ShareSpec(source=draw(words), tag=f"share{index}", read_only=draw(st.booleans()))
            for index in range(draw(st.integers(0, 2)))
        ),
        xml=draw(optional(st.sampled_from(["<rng/>", "<a>\n  <b c='d'/>\n</a>\n"]))),
    )


def scripts() -> st.SearchStrategy[str]:
    """Texts of several lines."""
    lines = st.text(string.printable.replace("\n", "") + "äß→", max_size=12)
    return st.lists(lines, max_size=5).map("\n".join)


@st.composite
def prefix_specs(draw: st.DrawFn, *, max_vms: int = 3, max_nets: int = 4) -> PrefixSpec:
    """Specs that pass every check of the whole spec (warnings may be left)."""
    names = draw(st.lists(net_names, min_size=1, max_size=max_nets, unique=True))
    marked = draw(st.lists(st.sampled_from([True, False, None]), min_size=len(names)))
    managed = {name for name, mark in zip(names, marked, strict=False) if mark}
    managed = managed or {min(names)}
    made = tuple(
        draw(nets(name, index, True if name in managed and marked[index] else marked[index]))
        for index, name in enumerate(names)
    )
    others = [net for net in made if net.name not in managed]
    found = []
    for index, name in enumerate(draw(st.lists(host_names, max_size=max_vms, unique=True))):
        first = draw(st.sampled_from([net for net in made if net.name in managed]))
        more = draw(st.lists(st.sampled_from([first, *others]), max_size=2))
        on = draw(st.sampled_from([[], [first, *more]]))
        found.append(draw(vms(name, on, index)))
    return PrefixSpec(vms=tuple(found), nets=made)
