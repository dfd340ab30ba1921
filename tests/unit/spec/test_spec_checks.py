"""Checks of specs made in Python, and the rules of management nets."""

from ipaddress import IPv4Network

import pytest

from lago_sdk.spec import Bootstrap, NetSpec, NetType, NicSpec, PrefixSpec, SubnetChoice, VMSpec
from lago_sdk.spec.addresses import has_ip4, has_ip6, subnet_of, takes_host_octet
from lago_sdk.spec.checks import check_spec
from lago_sdk.spec.management import main_dns_net, management_nets, management_of


def nets(**marks):
    return tuple(NetSpec(name=name, management=mark) for name, mark in marks.items())


class TestManagement:
    @pytest.mark.parametrize(
        ("marks", "found"),
        [
            ({}, ()),
            ({"b": None, "a": None}, ("a",)),
            ({"b": None, "a": False}, ("a",)),
            ({"b": True, "a": None}, ("b",)),
            ({"c": True, "b": None, "a": True}, ("a", "c")),
        ],
    )
    def test_the_marked_ones_or_the_first_by_name(self, marks, found):
        assert management_nets(PrefixSpec(nets=nets(**marks))) == found

    def test_the_main_dns_is_the_last_by_name_or_the_marked_one(self):
        a, b = nets(a=True, b=True)
        assert main_dns_net(PrefixSpec(nets=(b, a))) == "b"
        marked = NetSpec(name="a", management=True, main_dns=True)
        assert main_dns_net(PrefixSpec(nets=(b, marked))) == "a"
        assert main_dns_net(PrefixSpec()) is None

    def test_a_vm_is_managed_over_its_first_nic_on_such_a_net(self):
        vm = VMSpec(name="web", nics=(NicSpec(net="data"), NicSpec(net="lan")))
        assert management_of(vm, ("lan",)) == "lan"
        assert management_of(vm, ("other",)) is None
        assert management_of(VMSpec(name="web"), ("lan",)) is None


class TestAddresses:
    def test_a_gateway_chooses_a_slash_24(self):
        assert subnet_of(NetSpec(name="a", gw="10.1.2.3")) == IPv4Network("10.1.2.0/24")
        assert subnet_of(NetSpec(name="a")) is None
        assert subnet_of(NetSpec(name="a", gw="nonsense")) is None

    def test_only_the_last_octet_counts_where_the_subnet_is_given_out(self):
        assert takes_host_octet(NetSpec(name="a"))
        assert takes_host_octet(NetSpec(name="a", gw="192.168.210.4"))
        assert not takes_host_octet(NetSpec(name="a", gw="10.0.0.1"))
        assert not takes_host_octet(NetSpec(name="a", type=NetType.BRIDGE))
        assert not takes_host_octet(NetSpec(name="a", subnet=SubnetChoice.NONE))

    def test_which_families_a_net_has(self):
        assert has_ip4(NetSpec(name="a"))
        assert has_ip6(NetSpec(name="a"))
        assert not has_ip4(NetSpec(name="a", type=NetType.BRIDGE))
        assert not has_ip6(NetSpec(name="a", type=NetType.ISOLATED))


def test_names_that_are_there_twice_are_told():
    spec = PrefixSpec(nets=(*nets(lan=True), *nets(lan=True)), vms=(VMSpec(name="a"),) * 2)
    found = [str(problem) for problem in check_spec(spec) if problem.code == "duplicate-name"]
    assert found == [
        "error: 2 VMs are called 'a' [domains.a] (rename one)",
        "error: 2 nets are called 'lan' [nets.lan] (rename one)",
    ]


def test_a_bridge_net_takes_any_static_address():
    spec = PrefixSpec(
        nets=(NetSpec(name="lan", type=NetType.BRIDGE),),
        vms=(VMSpec(name="web", nics=(NicSpec(net="lan", ip="203.0.113.9", ip6="2001:db8::9"),)),),
    )
    assert [problem for problem in check_spec(spec) if problem.is_error] == []


def test_an_ipv6_only_net_is_sound():
    spec = PrefixSpec(
        nets=(NetSpec(name="lan", subnet=SubnetChoice.NONE),),
        vms=(VMSpec(name="web", nics=(NicSpec(net="lan", ip6="fd00::9"),)),),
    )
    assert [problem for problem in check_spec(spec) if problem.is_error] == []


def test_two_hundred_and_fifty_three_vms_fit_a_subnet_that_is_given_out():
    vms = tuple(VMSpec(name=f"vm{n}", nics=(NicSpec(net="lan"),)) for n in range(254))
    for count, codes in ((253, set()), (254, {"addresses-exhausted"})):
        spec = PrefixSpec(nets=nets(lan=True), vms=vms[:count])
        assert {problem.code for problem in check_spec(spec) if problem.is_error} == codes


@pytest.mark.parametrize("road", ["inject", "guestfs", "credentials", "none"])
def test_user_data_that_nobody_reads_is_told(road):
    vm = VMSpec(name="web", user_data="#!/bin/sh", bootstrap=Bootstrap(road))
    found = check_spec(PrefixSpec(vms=(vm,)))
    (problem,) = [problem for problem in found if problem.code == "useless-key"]
    assert problem.message == f"'user-data' does nothing with 'bootstrap: {road}'"
    assert problem.path == ("domains", "web", "user-data")
    assert not problem.is_error
