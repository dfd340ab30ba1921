"""Small init files and what Lago 0.46 makes of them, computed by hand from its rules."""

import pytest

from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import DhcpRange, NetSpec, NetType, NicSpec, PrefixSpec, VMSpec

UUID = "deadbeef0123456789abcdef01234567"
DHCP = DhcpRange(start=100, end=254)


def vm(name, *nics):
    """A VM with a nic on each net; ``net=address`` asks for a static one."""
    specs = []
    for nic in nics:
        net, _, ip = nic.partition("=")
        specs.append(NicSpec(net=net, ip=ip or None))
    return VMSpec(name=name, nics=tuple(specs))


def net(name, **values):
    return NetSpec(name=name, **values)


def plan(nets, vms):
    return plan_prefix(PrefixSpec(nets=tuple(nets), vms=tuple(vms)), uuid=UUID)


def addresses(found):
    return {
        vm.name: [None if nic.ip is None else str(nic.ip) for nic in vm.nics] for vm in found.vms
    }


ADDRESS_TABLE = {
    "one VM on one net": (
        [net("lago", management=True, dhcp=DHCP)],
        [vm("vm0", "lago")],
        {"vm0": ["192.168.200.2"]},
    ),
    "nets and nics are served in file order, not by name": (
        [net("z"), net("a")],
        [vm("vm1", "a", "z"), vm("vm0", "z", "a")],
        {"vm1": ["192.168.201.2", "192.168.200.2"], "vm0": ["192.168.200.3", "192.168.201.3"]},
    ),
    "a written gateway chooses the subnet and is nobody else's": (
        [net("lago", gw="192.168.210.4")],
        [vm("a", "lago"), vm("b", "lago"), vm("c", "lago"), vm("d", "lago")],
        {
            "a": ["192.168.210.2"],
            "b": ["192.168.210.3"],
            "c": ["192.168.210.5"],
            "d": ["192.168.210.6"],
        },
    ),
    "a later net's written gateway comes before an earlier net without one": (
        [net("first"), net("second", gw="192.168.200.1"), net("third")],
        [vm("a", "first", "second", "third")],
        {"a": ["192.168.201.2", "192.168.200.2", "192.168.202.2"]},
    ),
    "only the last octet of a static address counts on a leased subnet": (
        [net("lago"), net("fixed", gw="192.168.230.1")],
        [
            vm("a", "lago=300.300.300.17", "fixed=999.999.999.150"),
            vm("b", "lago=192.168.200.18", "fixed=0.0.0.10"),
            vm("c", "lago=10.0.0.19", "fixed"),
        ],
        {
            "a": ["192.168.200.17", "192.168.230.150"],
            "b": ["192.168.200.18", "192.168.230.10"],
            "c": ["192.168.200.19", "192.168.230.2"],
        },
    ),
    "static addresses of later VMs are kept from earlier ones": (
        [net("lago")],
        [vm("a", "lago"), vm("b", "lago=0.0.0.2"), vm("c", "lago", "lago=0.0.0.4")],
        {
            "a": ["192.168.200.3"],
            "b": ["192.168.200.2"],
            "c": ["192.168.200.5", "192.168.200.4"],
        },
    ),
    "addresses inside the DHCP range are given out all the same": (
        [net("lago", dhcp=DhcpRange(start=2, end=254))],
        [vm("a", "lago"), vm("b", "lago=0.0.0.254")],
        {"a": ["192.168.200.2"], "b": ["192.168.200.254"]},
    ),
    "bridge nets have no addresses but written ones": (
        [net("lago"), net("ext", type=NetType.BRIDGE)],
        [vm("a", "lago", "ext"), vm("b", "lago", "ext=10.1.2.3")],
        {"a": ["192.168.200.2", None], "b": ["192.168.200.3", "10.1.2.3"]},
    ),
    "a subnet outside the leased ones takes addresses as they are written": (
        [net("lago", gw="10.20.30.1")],
        [vm("a", "lago=10.20.30.40"), vm("b", "lago")],
        {"a": ["10.20.30.40"], "b": ["10.20.30.2"]},
    ),
}


@pytest.mark.parametrize(("nets", "vms", "expected"), ADDRESS_TABLE.values(), ids=ADDRESS_TABLE)
def test_addresses(nets, vms, expected):
    found = plan(nets, vms)
    assert addresses(found) == expected


@pytest.mark.parametrize(("nets", "vms", "expected"), ADDRESS_TABLE.values(), ids=ADDRESS_TABLE)
def test_macs_are_54_52_and_the_address(nets, vms, expected):
    for machine in plan(nets, vms).vms:
        for nic, text in zip(machine.nics, expected[machine.name], strict=True):
            if text is not None:
                octets = "".join(f":{int(octet):02x}" for octet in text.split("."))
                assert nic.mac == f"54:52{octets}"


MAPPING_TABLE = {
    "one nic": (
        [net("lago")],
        [vm("vm0", "lago")],
        {
            "lago": {
                "vm0": "192.168.200.2",
                "vm0-eth0": "192.168.200.2",
                "vm0-lago": "192.168.200.2",
                "vm0-lago-0": "192.168.200.2",
            }
        },
    ),
    "the plain name is on the management net, whichever nic that is": (
        [net("san"), net("lago", management=True)],
        [vm("vm0", "san", "lago")],
        {
            "san": {
                "vm0-eth0": "192.168.200.2",
                "vm0-san": "192.168.200.2",
                "vm0-san-0": "192.168.200.2",
            },
            "lago": {
                "vm0": "192.168.201.2",
                "vm0-eth1": "192.168.201.2",
                "vm0-lago": "192.168.201.2",
                "vm0-lago-0": "192.168.201.2",
            },
        },
    ),
    "without a mark the first net by name is the management net": (
        [net("b"), net("a")],
        [vm("vm0", "b", "a")],
        {
            "b": {
                "vm0-eth0": "192.168.200.2",
                "vm0-b": "192.168.200.2",
                "vm0-b-0": "192.168.200.2",
            },
            "a": {
                "vm0": "192.168.201.2",
                "vm0-eth1": "192.168.201.2",
                "vm0-a": "192.168.201.2",
                "vm0-a-0": "192.168.201.2",
            },
        },
    ),
    "of nics on the same net, static ones are counted first": (
        [net("lago", management=True), net("san")],
        [vm("vm0", "san", "san=0.0.0.50", "lago", "san")],
        {
            "lago": {
                "vm0": "192.168.200.2",
                "vm0-eth2": "192.168.200.2",
                "vm0-lago": "192.168.200.2",
                "vm0-lago-0": "192.168.200.2",
            },
            "san": {
                "vm0-eth1": "192.168.201.50",
                "vm0-san": "192.168.201.50",
                "vm0-san-0": "192.168.201.50",
                "vm0-eth0": "192.168.201.2",
                "vm0-san-1": "192.168.201.2",
                "vm0-eth3": "192.168.201.3",
                "vm0-san-2": "192.168.201.3",
            },
        },
    ),
}


@pytest.mark.parametrize(("nets", "vms", "expected"), MAPPING_TABLE.values(), ids=MAPPING_TABLE)
def test_names_of_nics(nets, vms, expected):
    assert {net.name: net.mapping for net in plan(nets, vms).nets} == expected


def test_names_and_gateways_of_nets_and_domains():
    found = plan(
        [net("lago"), net("a-very-long-network-name"), net("storage-1"), net("storage-2")],
        [vm("a-vm-with-a-rather-long-name", "lago")],
    )
    assert [net.network for net in found.nets] == [
        "dead-lago",
        "dead-22b4cb32a0",
        "dead-storage-1",
        "dead-storage-2",
    ]
    assert [str(net.gateway) for net in found.nets] == [
        f"192.168.{octet}.1" for octet in (200, 201, 202, 203)
    ]
    assert found.vms[0].domain == "deadbeef-a-vm-with-a-rather-long-name"


def test_ipv6_is_the_third_octet_in_decimal_digits_and_the_ipv4_address():
    found = plan([net("lago", gw="192.168.210.4")], [vm("vm0", "lago")])
    lago = found.get_net("lago")
    assert str(lago.subnet6) == "fd8f:1391:3a82:210::/64"
    assert str(lago.gateway6) == "fd8f:1391:3a82:210::1"
    assert str(found.vms[0].nics[0].ip6) == "fd8f:1391:3a82:210::c0a8:d202"


def test_management_nets_answer_for_all_nets_and_others_forward_to_the_last():
    found = plan(
        [
            net("m2", management=True, dns_domain_name="lab.test"),
            net("m1", management=True, dns_records={"repo": "10.9.8.7"}),
            net("san"),
        ],
        [vm("a", "m1", "san"), vm("b", "m2")],
    )
    m2, m1, san = found.nets
    assert (m2.dns_domain, m1.dns_domain, san.dns_domain) == ("lab.test", "lago.local", None)
    assert [net.is_management for net in found.nets] == [True, True, False]
    assert (m1.dns_forward, m2.dns_forward, str(san.dns_forward)) == (None, None, "192.168.200.1")
    records = {str(record.ip): record.names for record in m2.dns_records}
    assert records == {
        "192.168.201.2": ("a", "a-eth0", "a-m1", "a-m1-0"),
        "fd8f:1391:3a82:201::c0a8:c902": ("a", "a-eth0", "a-m1", "a-m1-0"),
        "192.168.202.2": ("a-eth1", "a-san", "a-san-0"),
        "fd8f:1391:3a82:202::c0a8:ca02": ("a-eth1", "a-san", "a-san-0"),
        "192.168.200.2": ("b", "b-eth0", "b-m2", "b-m2-0"),
        "fd8f:1391:3a82:200::c0a8:c802": ("b", "b-eth0", "b-m2", "b-m2-0"),
    }
    assert {str(record.ip): record.names for record in m1.dns_records} == {
        **records,
        "10.9.8.7": ("repo",),
    }
    assert san.dns_records == ()


def test_reservations_are_named_by_the_first_name_in_the_alphabet():
    found = plan(
        [net("lago", management=True, dhcp=DHCP), net("dhcpless"), net("data", dhcp=DHCP)],
        [vm("vm0", "lago", "dhcpless", "data")],
    )
    lago, dhcpless, data = found.nets
    assert [(str(host.ip), host.mac, host.name) for host in lago.dhcp_hosts] == [
        ("192.168.200.2", "54:52:c0:a8:c8:02", "vm0")
    ]
    assert [(str(host.ip), host.name) for host in data.dhcp_hosts] == [
        ("192.168.202.2", "vm0-data")
    ]
    assert dhcpless.dhcp_hosts == ()
    assert [str(end) for end in lago.dhcp_range] == ["192.168.200.100", "192.168.200.254"]
    assert dhcpless.dhcp_range is None
    methods = [nic.method.value for nic in found.vms[0].nics]
    assert methods == ["dhcp", "static", "dhcp"]
