"""The plan of a whole prefix."""

import string
import uuid as uuids
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lago_sdk.errors import SpecError
from lago_sdk.plan.facts import Taken
from lago_sdk.plan.models import AddressMethod, Image
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import (
    Bootstrap,
    DhcpRange,
    EmptyDisk,
    NetSpec,
    NetType,
    NicSpec,
    PrefixSpec,
    SubnetChoice,
    TemplateDisk,
    VMSpec,
)
from lago_sdk.spec.checks import check_spec

UUID = "deadbeef0123456789abcdef01234567"
DHCP = DhcpRange(start=100, end=200)


def plan(nets, vms=(), **facts):
    return plan_prefix(PrefixSpec(nets=tuple(nets), vms=tuple(vms)), uuid=UUID, **facts)


def vm(name="web", *nets, **values):
    return VMSpec(name=name, nics=tuple(NicSpec(net=net) for net in nets), **values)


def only_nic(net, **nic):
    values = {"net": net.name, **nic}
    return plan([net], [VMSpec(name="web", nics=(NicSpec(**values),))]).vms[0].nics[0]


def test_an_empty_prefix_has_an_empty_plan():
    found = plan([])
    assert (found.vms, found.nets, found.uuid) == ((), (), UUID)


def test_a_vm_without_nics_has_no_management_net():
    found = plan([NetSpec(name="lan")], [VMSpec(name="alone")]).vms[0]
    assert found.management == ""
    assert found.dns_domain is None
    assert found.management_nic is None


def test_a_vm_has_its_names_and_files():
    found = plan([NetSpec(name="lan", dns_domain_name="lab.test")], [vm("web", "lan")]).vms[0]
    assert (found.name, found.domain, found.hostname) == ("web", "deadbeef-web", "web")
    assert (found.seed, found.console_log) == ("images/web_seed.iso", "logs/web.console.log")
    assert (found.management, found.dns_domain) == ("lan", "lab.test")
    assert found.bootstrap is Bootstrap.SEED
    assert uuids.UUID(found.uuid).version == 5


def test_uuids_of_domains_depend_on_prefix_and_name():
    spec = PrefixSpec(vms=(VMSpec(name="a"), VMSpec(name="b")))
    found = {vm.uuid for uuid in (UUID, "f" * 32) for vm in plan_prefix(spec, uuid=uuid).vms}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("values", "bootstrap"),
    [
        ({}, Bootstrap.SEED),
        ({"bootstrap": Bootstrap.NONE}, Bootstrap.NONE),
        ({"vm_provider": "local-libvirt"}, Bootstrap.SEED),
        ({"vm_provider": "ssh"}, Bootstrap.NONE),
        ({"vm_provider": "ssh", "bootstrap": Bootstrap.SEED}, Bootstrap.SEED),
    ],
)
def test_only_vms_that_are_bootstrapped_have_a_seed(values, bootstrap):
    found = plan([], [vm(**values)]).vms[0]
    assert found.bootstrap is bootstrap
    assert (found.seed is None) == (bootstrap is Bootstrap.NONE)


def facts_of(**metadata):
    return Image(path="/store/tiny", size=1, metadata=metadata)


@pytest.mark.parametrize(
    ("values", "disk_facts", "image", "expected"),
    [
        ({}, {}, None, (None, "root")),
        ({}, {}, facts_of(distro="debian", **{"ssh-user": "debian"}), ("debian", "debian")),
        ({}, {"distro": "sid"}, facts_of(distro="debian"), ("sid", "root")),
        (
            {"distro": "el9", "ssh_user": "me"},
            {"distro": "sid", "ssh-user": "you"},
            facts_of(distro="debian"),
            ("el9", "me"),
        ),
        ({}, {}, facts_of(distro=12), (None, "root")),
    ],
)
def test_facts_are_the_vms_the_disks_and_the_templates_in_this_order(
    values, disk_facts, image, expected
):
    disk = TemplateDisk(template_name="tiny", metadata=disk_facts)
    images = {} if image is None else {"tiny": image}
    found = plan([], [vm(disks=(disk,), **values)], images=images).vms[0]
    assert (found.distro, found.ssh_user) == expected


def test_facts_are_those_of_the_first_disk():
    disks = (EmptyDisk(size=1), TemplateDisk(template_name="tiny"))
    found = plan([], [vm(disks=disks)], images={"tiny": facts_of(distro="debian")}).vms[0]
    assert found.distro is None


@pytest.mark.parametrize(
    ("net", "method"),
    [
        (NetSpec(name="n", dhcp=DHCP), AddressMethod.DHCP),
        (NetSpec(name="n"), AddressMethod.STATIC),
        (NetSpec(name="n", type=NetType.ISOLATED, dhcp=DHCP), AddressMethod.DHCP),
        (NetSpec(name="n", type=NetType.ROUTED, dhcp=DHCP), AddressMethod.DHCP),
        (NetSpec(name="n", type=NetType.BRIDGE), AddressMethod.NONE),
        (
            NetSpec(name="n", subnet=SubnetChoice.NONE, subnet6=SubnetChoice.NONE, dhcp=DHCP),
            AddressMethod.NONE,
        ),
    ],
)
def test_how_a_nic_gets_its_address(net, method):
    assert only_nic(net).method is method


def test_isolated_and_routed_nets_have_ipv4_only_unless_asked():
    for kind in (NetType.ISOLATED, NetType.ROUTED):
        nic = only_nic(NetSpec(name="n", type=kind))
        assert (nic.ip, nic.ip6) == (IPv4Address("192.168.200.2"), None)


def test_a_wide_subnet_goes_on_after_its_first_256_addresses():
    net = NetSpec(name="n", subnet=IPv4Network("10.10.0.0/22"))
    nics = tuple(NicSpec(net="n") for _ in range(300))
    found = plan([net], [VMSpec(name="web", nics=nics)]).vms[0]
    assert found.nics[299].ip == IPv4Address("10.10.1.45")
    assert found.nics[299].mac == "54:52:0a:0a:01:2d"


def test_on_a_wide_subnet_of_the_leasable_range_addresses_count_as_written():
    net = NetSpec(name="n", subnet=IPv4Network("192.168.208.0/22"))
    assert only_nic(net, ip="192.168.210.9").ip == IPv4Address("192.168.210.9")


def test_an_ipv6_only_net_hands_out_the_smallest_free_addresses():
    net = NetSpec(
        name="n",
        subnet=SubnetChoice.NONE,
        subnet6=IPv6Network("fd00::/64"),
        dhcp=DHCP,
    )
    nics = (NicSpec(net="n"), NicSpec(net="n", ip6="fd00::2"), NicSpec(net="n"))
    found = plan([net], [VMSpec(name="web", nics=nics)])
    assert [str(nic.ip6) for nic in found.vms[0].nics] == ["fd00::3", "fd00::2", "fd00::4"]
    assert all(nic.ip is None for nic in found.vms[0].nics)
    lan = found.nets[0]
    assert (lan.gateway, str(lan.gateway6), lan.dhcp_range) == (None, "fd00::1", None)
    # The static one counts first among the VM's nics on the net.
    assert lan.mapping["web-n-0"] == lan.mapping["web-n"] == "fd00::2"
    assert lan.mapping["web"] == "fd00::3"
    assert [str(host.ip6) for host in lan.dhcp_hosts] == ["fd00::3", "fd00::2", "fd00::4"]
    macs = {nic.mac for nic in found.vms[0].nics}
    assert len(macs) == 3
    assert all(mac.startswith("56:") for mac in macs)


def test_a_nat_net_without_ipv4_is_given_an_ipv6_subnet():
    nic = only_nic(NetSpec(name="n", subnet=SubnetChoice.NONE))
    assert str(nic.ip6) == "fd8f:1391:3a82:1000::2"


def test_an_ipv6_subnet_too_small_for_ipv4_hands_out_the_smallest_free():
    nic = only_nic(NetSpec(name="n", subnet6=IPv6Network("fd00::/112")))
    assert str(nic.ip6) == "fd00::2"


def test_a_written_ipv6_address_is_not_made_from_ipv4_again():
    net = NetSpec(name="n", subnet6=IPv6Network("fd00::/64"))
    nics = (NicSpec(net="n"), NicSpec(net="n", ip6="fd00::c0a8:c802"))
    found = plan([net], [VMSpec(name="web", nics=nics)]).vms[0]
    assert [str(nic.ip6) for nic in found.nics] == ["fd00::2", "fd00::c0a8:c802"]


def test_a_bridge_net_is_somebody_elses():
    net = NetSpec(name="ext", type=NetType.BRIDGE, bridge="br0", dhcp=DHCP)
    found = plan([net], [vm("web", "ext")]).nets[0]
    assert (found.bridge, found.network) == ("br0", "dead-ext")
    assert (found.subnet, found.gateway, found.subnet6, found.gateway6) == (None,) * 4
    assert (found.dhcp_range, found.dhcp_hosts, found.dns_records) == (None, (), ())
    assert found.mapping == {}


def test_a_bridge_net_takes_static_addresses_of_both_families():
    net = NetSpec(name="ext", type=NetType.BRIDGE)
    nic = only_nic(net, ip="10.1.2.3", ip6="2001:db8::3")
    assert (str(nic.ip), str(nic.ip6)) == ("10.1.2.3", "2001:db8::3")
    assert nic.method is AddressMethod.STATIC


def test_a_bridge_net_keeps_a_written_subnet_and_has_a_gateway_only_when_written():
    net = NetSpec(
        name="ext",
        type=NetType.BRIDGE,
        subnet=IPv4Network("10.1.0.0/16"),
        subnet6=IPv6Network("2001:db8::/64"),
    )
    first = plan([net], [vm("web", "ext")])
    assert (first.nets[0].subnet, first.nets[0].gateway) == (net.subnet, None)
    assert first.nets[0].gateway6 is None
    assert (first.vms[0].nics[0].ip, first.vms[0].nics[0].ip6) == (None, None)
    second = plan([attrs.evolve(net, gw="10.1.0.254")])
    assert second.nets[0].gateway == IPv4Address("10.1.0.254")


def test_no_net_forwards_to_a_bridge():
    nets = [NetSpec(name="b", type=NetType.BRIDGE, management=True, gw="10.0.0.1")]
    assert plan([*nets, NetSpec(name="a")]).nets[1].dns_forward is None


def test_nets_forward_to_the_marked_management_net():
    nets = [
        NetSpec(name="a", management=True, main_dns=True),
        NetSpec(name="b", management=True),
        NetSpec(name="c"),
        NetSpec(name="d", type=NetType.BRIDGE),
    ]
    found = plan(nets)
    assert [net.dns_forward for net in found.nets] == [None, None, found.nets[0].gateway, None]


def test_written_dns_records_join_those_of_vms_and_never_replace_them():
    net = NetSpec(
        name="lan",
        subnet6=SubnetChoice.NONE,
        dns_records={"www": "192.168.200.2", "web": "10.0.0.1", "v6": "fd00::1", "x": "10.0.0.2"},
    )
    found = plan([net], [vm("web", "lan")]).nets[0]
    assert {str(record.ip): record.names for record in found.dns_records} == {
        "192.168.200.2": ("web", "web-eth0", "web-lan", "web-lan-0", "www"),
        "fd00::1": ("v6",),
        "10.0.0.2": ("x",),
    }


def test_the_name_of_a_vm_is_never_given_to_anothers_nic():
    found = plan(
        [NetSpec(name="lan", subnet6=SubnetChoice.NONE)], [vm("a", "lan"), vm("a-eth0", "lan")]
    )
    lan = found.nets[0]
    assert lan.mapping["a"] == "192.168.200.2"
    assert lan.mapping["a-eth0"] == "192.168.200.3"
    names = [name for record in lan.dns_records for name in record.names]
    assert len(names) == len(set(names))


def test_a_name_that_two_nets_map_is_answered_once():
    nets = [
        NetSpec(name="b", management=True, subnet6=SubnetChoice.NONE),
        NetSpec(name="b-0", subnet6=SubnetChoice.NONE),
    ]
    found = plan(nets, [vm("a", "b", "b-0")])
    assert found.nets[0].mapping["a-b-0"] == "192.168.200.2"
    assert found.nets[1].mapping["a-b-0"] == "192.168.201.2"
    names = [name for record in found.nets[0].dns_records for name in record.names]
    assert names.count("a-b-0") == 1


def test_a_nic_whose_names_are_all_answered_already_adds_no_record():
    nets = [NetSpec(name="b", management=True), NetSpec(name="b-0")]
    found = plan(nets, [vm("a", "b", "b-0")])
    assert all(record.names for record in found.nets[0].dns_records)


def test_written_macs_win_and_made_ones_avoid_them():
    nics = (NicSpec(net="n"), NicSpec(net="n", mac="54:52:C0:A8:C8:02"))
    found = plan([NetSpec(name="n")], [VMSpec(name="web", nics=nics)]).vms[0]
    assert found.nics[1].mac == "54:52:c0:a8:c8:02"
    assert found.nics[0].mac.startswith("56:")


def test_what_others_use_is_avoided():
    taken = Taken(
        subnets=frozenset({IPv4Network("192.168.200.0/24")}),
        subnets6=frozenset({IPv6Network("fd8f:1391:3a82:201::/64")}),
        names=frozenset({"dead-lan"}),
    )
    found = plan([NetSpec(name="lan")], taken=taken).nets[0]
    assert found.subnet == IPv4Network("192.168.201.0/24")
    assert str(found.subnet6) == "fd8f:1391:3a82:1000::/64"
    assert found.network != "dead-lan"
    assert found.bridge == found.network


def test_a_bridge_of_the_hosts_is_not_made_again_for_another_net():
    nets = [
        NetSpec(name="lan"),
        NetSpec(name="ext", type=NetType.BRIDGE, bridge="dead-lan"),
    ]
    found = plan(nets)
    assert found.nets[0].bridge != found.nets[1].bridge == "dead-lan"


names = st.text(string.ascii_lowercase + "-01", min_size=1, max_size=14)
net_specs = st.builds(
    NetSpec,
    name=names,
    type=st.sampled_from(NetType),
    management=st.none() | st.booleans(),
    dhcp=st.none() | st.just(DHCP),
    gw=st.none() | st.integers(198, 255).map(lambda octet: f"192.168.{octet}.4"),
    subnet=st.sampled_from([SubnetChoice.AUTO, SubnetChoice.AUTO, SubnetChoice.NONE]),
    subnet6=st.sampled_from([*SubnetChoice, IPv6Network("fd00::/64")]),
)


@st.composite
def prefix_specs(draw):
    nets = draw(st.lists(net_specs, min_size=1, max_size=6, unique_by=lambda net: net.name))
    known = [net.name for net in nets]
    nics = st.builds(
        NicSpec,
        net=st.sampled_from(known),
        ip=st.none() | st.none() | st.integers(5, 250).map(lambda host: f"0.0.0.{host}"),
        mac=st.none()
        | st.none()
        | st.integers(0, 255).map(lambda octet: f"52:54:00:0:0:{octet:x}"),
    )
    vms = st.builds(VMSpec, name=names, nics=st.lists(nics, max_size=5).map(tuple))
    machines = draw(st.lists(vms, max_size=6, unique_by=lambda vm: vm.name))
    return PrefixSpec(vms=tuple(machines), nets=tuple(nets))


@settings(deadline=None, max_examples=50)
@given(spec=prefix_specs(), uuid=st.uuids().map(lambda value: value.hex))
def test_what_is_planned_is_unique_inside_its_subnet_and_the_same_again(spec, uuid):
    try:
        found = plan_prefix(spec, uuid=uuid)
    except SpecError:
        assume(False)
    assert found == plan_prefix(spec, uuid=uuid)
    nics = [nic for machine in found.vms for nic in machine.nics]
    macs = [nic.mac for nic in nics] + [net.bridge_mac for net in found.nets]
    assert len(set(macs)) == len(macs)
    devices = [net.bridge for net in found.nets]
    assert len(set(devices)) == len(devices)
    for net in found.nets:
        _check_addresses(net, [nic for nic in nics if nic.net == net.name])


@settings(deadline=None, max_examples=50)
@given(spec=prefix_specs())
def test_what_passes_the_checks_can_be_planned_on_a_host_of_its_own(spec):
    assume(not any(problem.is_error for problem in check_spec(spec)))
    assert plan_prefix(spec, uuid=UUID).uuid == UUID


def _check_addresses(net, nics):
    for subnet, gateway, addresses in (
        (net.subnet, net.gateway, [nic.ip for nic in nics if nic.ip is not None]),
        (net.subnet6, net.gateway6, [nic.ip6 for nic in nics if nic.ip6 is not None]),
    ):
        assert len(set(addresses)) == len(addresses)
        assert gateway not in addresses
        if subnet is not None:
            assert all(address in subnet for address in addresses)
            assert subnet.network_address not in addresses
    plain = {str(nic.ip if nic.ip is not None else nic.ip6) for nic in nics} - {"None"}
    assert set(net.mapping.values()) == plain


def test_ipv6_addresses_carry_the_ipv4_address():
    nic = only_nic(NetSpec(name="n"))
    assert int(nic.ip6) & 0xFFFFFFFF == int(nic.ip)
    assert isinstance(nic.ip6, IPv6Address)
