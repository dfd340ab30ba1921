"""What can only be seen while planning is told all at once, each with its place."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from lago_sdk.errors import SpecError
from lago_sdk.plan.facts import Taken
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import DhcpRange, NetSpec, NetType, NicSpec, PrefixSpec, SubnetChoice, VMSpec
from lago_sdk.spec.problems import format_path

UUID = "deadbeef0123456789abcdef01234567"


def net(name="lan", **values):
    return NetSpec(name=name, **values)


def nic(net="lan", **values):
    return NicSpec(net=net, **values)


def vm(name, *nics):
    return VMSpec(name=name, nics=nics)


def problems_of(nets, vms=(), taken=None):
    with pytest.raises(SpecError) as caught:
        plan_prefix(PrefixSpec(nets=tuple(nets), vms=tuple(vms)), uuid=UUID, taken=taken or Taken())
    return [
        (format_path(problem.path), problem.code, problem.message)
        for problem in caught.value.problems
    ]


TEN = IPv4Network("10.0.0.0/24")

TABLE = {
    "address outside": (
        [net(subnet=TEN)],
        [vm("a", nic(ip="10.0.1.4"))],
        "domains.a.nics[0].ip",
        "address-outside",
        "10.0.1.4 is not a host address of 10.0.0.0/24, the subnet of net 'lan'",
    ),
    "broadcast address": (
        [net(subnet=TEN)],
        [vm("a", nic(ip="10.0.0.255"))],
        "domains.a.nics[0].ip",
        "address-outside",
        "10.0.0.255 is not a host address of 10.0.0.0/24, the subnet of net 'lan'",
    ),
    "network address by its last octet": (
        [net()],
        [vm("a", nic(ip="0.0.0.0"))],
        "domains.a.nics[0].ip",
        "address-outside",
        "192.168.200.0 is not a host address of 192.168.200.0/24, the subnet of net 'lan'",
    ),
    "no address": (
        [net(subnet=TEN)],
        [vm("a", nic(ip="300.0.0.1"))],
        "domains.a.nics[0].ip",
        "bad-address",
        "'300.0.0.1' is not an IPv4 address",
    ),
    "no IPv6 address": (
        [net()],
        [vm("a", nic(ip6="fd00::g"))],
        "domains.a.nics[0].ip6",
        "bad-address",
        "'fd00::g' is not an IPv6 address",
    ),
    "IPv6 address outside": (
        [net()],
        [vm("a", nic(ip6="fd00::9"))],
        "domains.a.nics[0].ip6",
        "address-outside",
        "fd00::9 is not a host address of fd8f:1391:3a82:200::/64, the subnet of net 'lan'",
    ),
    "address of the gateway": (
        [net()],
        [vm("a", nic(ip="0.0.0.1"))],
        "domains.a.nics[0].ip",
        "duplicate-address",
        "192.168.200.1 is taken by the gateway of net 'lan'",
    ),
    "address of another nic": (
        [net()],
        [vm("a", nic(ip="0.0.0.9")), vm("b", nic(), nic(ip="192.168.200.9"))],
        "domains.b.nics[1].ip",
        "duplicate-address",
        "192.168.200.9 is taken by nic 0 of 'a'",
    ),
    "IPv6 address of another nic": (
        [net(subnet6=IPv6Network("fd00::/64"))],
        [vm("a", nic(ip6="fd00::9")), vm("b", nic(ip6="fd00:0::9"))],
        "domains.b.nics[0].ip6",
        "duplicate-address",
        "fd00::9 is taken by nic 0 of 'a'",
    ),
    "static address without a subnet": (
        [net(subnet=SubnetChoice.NONE)],
        [vm("a", nic(ip="10.0.0.4"))],
        "domains.a.nics[0].ip",
        "no-subnet",
        "net 'lan' has no IPv4 subnet for 10.0.0.4",
    ),
    "static IPv6 address without a subnet": (
        [net(type=NetType.ISOLATED)],
        [vm("a", nic(ip6="fd00::4"))],
        "domains.a.nics[0].ip6",
        "no-subnet",
        "net 'lan' has no IPv6 subnet for fd00::4",
    ),
    "addresses run out": (
        [net(subnet=IPv4Network("10.0.0.0/29"))],
        [vm("a", *(nic() for _ in range(7)))],
        "nets.lan",
        "addresses-exhausted",
        "10.0.0.0/29 has no address left for 2 of the 7 nics on net 'lan'",
    ),
    "IPv6 addresses run out": (
        [net(subnet=SubnetChoice.NONE, subnet6=IPv6Network("fd00::/126"))],
        [vm("a", *(nic() for _ in range(3)))],
        "nets.lan",
        "addresses-exhausted",
        "fd00::/126 has no address left for 1 of the 3 nics on net 'lan'",
    ),
    "the gateway is not in the subnet": (
        [net(subnet=TEN, gw="10.0.1.1")],
        [],
        "nets.lan.gw",
        "address-outside",
        "the gateway 10.0.1.1 is not a host address of 10.0.0.0/24",
    ),
    "the gateway is no address": (
        [net(gw="192.168.x.1")],
        [vm("a", nic(ip="0.0.0.5"))],
        "nets.lan.gw",
        "bad-address",
        "'192.168.x.1' is not an IPv4 address",
    ),
    "two nets overlap": (
        [net(subnet=TEN), net("b", gw="10.0.0.7")],
        [],
        "nets.b.gw",
        "subnet-taken",
        "10.0.0.0/24 overlaps the subnet of net 'lan'",
    ),
    "two IPv6 subnets overlap": (
        [
            net(subnet6=IPv6Network("fd00::/48")),
            net("b", subnet6=IPv6Network("fd00:0:0:1::/64")),
        ],
        [],
        "nets.b.subnet6",
        "subnet-taken",
        "fd00:0:0:1::/64 overlaps the subnet of net 'lan'",
    ),
    "the DHCP range is outside": (
        [net(subnet=IPv4Network("10.0.0.0/28"), dhcp=DhcpRange(start=2, end=100))],
        [],
        "nets.lan.dhcp.end",
        "address-outside",
        "host 100 is not in 10.0.0.0/28",
    ),
    "a MAC twice": (
        [net()],
        [vm("a", nic(mac="52:54:00:00:00:0A"), nic(mac="52-54-00-00-00-0a"))],
        "domains.a.nics[1].mac",
        "duplicate-mac",
        "52:54:00:00:00:0a is the MAC of another nic",
    ),
    "an unknown net": (
        [net()],
        [vm("a", nic("lam"))],
        "domains.a.nics[0].net",
        "unknown-net",
        "there is no net 'lam'",
    ),
    "a DNS record without address": (
        [net(dns_records={"repo": "nowhere"})],
        [],
        "nets.lan.dns_records.repo",
        "bad-address",
        "'nowhere' is not an IP address",
    ),
    "more nets than subnets": (
        [net(str(number)) for number in range(58)],
        [vm("a", nic("57", ip="0.0.0.4"))],
        "nets.56",
        "subnets-exhausted",
        "58 nets want a subnet of 192.168.200.0/24 to 192.168.255.0/24, and 56 are free",
    ),
}


@pytest.mark.parametrize(("nets", "vms", "path", "code", "message"), TABLE.values(), ids=TABLE)
def test_each_problem_has_its_place_and_its_sentence(nets, vms, path, code, message):
    assert problems_of(nets, vms) == [(path, code, message)]


def test_subnets_that_others_use_are_refused():
    taken = Taken(
        subnets=frozenset({IPv4Network("10.0.0.0/8")}),
        subnets6=frozenset({IPv6Network("fd00::/16")}),
    )
    found = problems_of([net(subnet=TEN, subnet6=IPv6Network("fd00:1::/64"))], taken=taken)
    assert found == [
        (
            "nets.lan.subnet",
            "subnet-taken",
            "10.0.0.0/24 overlaps the subnet of something else on this host",
        ),
        (
            "nets.lan.subnet6",
            "subnet-taken",
            "fd00:1::/64 overlaps the subnet of something else on this host",
        ),
    ]


def test_no_unique_local_subnet_left_is_told_with_the_range():
    taken = Taken(subnets6=frozenset({IPv6Network("fd8f:1391:3a82::/48")}))
    assert problems_of([net()], taken=taken) == [
        (
            "nets.lan.subnet6",
            "subnet-taken",
            "fd8f:1391:3a82::/48 overlaps the subnet of something else on this host",
        )
    ]


def test_all_problems_come_at_once():
    found = problems_of(
        [net(), net("b", gw="nonsense"), net("c", dns_records={"x": "y"})],
        [vm("a", nic(ip="0.0.0.1"), nic("d")), vm("e", nic("b", ip="0.0.0.3"))],
    )
    assert [path for path, _, _ in found] == [
        "nets.b.gw",
        "domains.a.nics[1].net",
        "domains.a.nics[0].ip",
    ]
