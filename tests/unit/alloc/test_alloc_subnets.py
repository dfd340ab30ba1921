"""Which subnet each net gets."""

from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from hypothesis import given, settings
from hypothesis import strategies as st

from lago_sdk.alloc.subnets import SubnetConflict, allocate_subnets, allocate_subnets6


def net4(text):
    return IPv4Network(text)


def net6(text):
    return IPv6Network(text)


def ula(group):
    return net6(f"fd8f:1391:3a82:{group}::/64")


written4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(16, 30)).map(
    lambda value: IPv4Network(value, strict=False)
)
leasable = st.integers(198, 255).map(lambda octet: net4(f"192.168.{octet}.0/24"))


def test_the_lowest_free_subnets_are_given_in_order():
    taken = {net4("192.168.200.0/24"), net4("192.168.202.128/25")}
    found = allocate_subnets([("b", None), ("a", None)], taken=taken)
    assert found.subnets == {"b": net4("192.168.201.0/24"), "a": net4("192.168.203.0/24")}
    assert not found.conflicts
    assert not found.unserved


def test_a_written_subnet_is_honoured_before_an_earlier_net_is_served():
    found = allocate_subnets([("any", None), ("mine", net4("192.168.200.0/24"))])
    assert found.subnets == {"any": net4("192.168.201.0/24"), "mine": net4("192.168.200.0/24")}


def test_a_wide_taken_subnet_hides_many():
    found = allocate_subnets([("a", None)], taken=[net4("192.168.128.0/17")])
    assert found.unserved == ("a",)
    assert found.free == 0


def test_conflicts_say_with_whom():
    found = allocate_subnets(
        [("a", net4("10.0.0.0/16")), ("b", net4("10.0.7.0/24")), ("c", net4("172.16.0.0/24"))],
        taken=[net4("172.16.0.0/12")],
    )
    assert found.subnets == {"a": net4("10.0.0.0/16")}
    assert found.conflicts == (
        SubnetConflict(net="b", other="a"),
        SubnetConflict(net="c", other=None),
    )


def test_the_57th_net_finds_none():
    found = allocate_subnets([(str(number), None) for number in range(57)])
    assert len(found.subnets) == found.free == 56
    assert found.unserved == ("56",)


@settings(deadline=None)
@given(
    wanted=st.lists(st.none() | written4 | leasable, max_size=20),
    taken=st.frozensets(written4 | leasable, max_size=10),
)
def test_subnets_never_overlap(wanted, taken):
    named = [(str(number), subnet) for number, subnet in enumerate(wanted)]
    found = allocate_subnets(named, taken=taken)
    given_out = list(found.subnets.values())
    size = sum(subnet.num_addresses for subnet in given_out)
    assert size == sum(subnet.num_addresses for subnet in collapse_addresses(given_out))
    assert not any(subnet.overlaps(other) for subnet in given_out for other in taken)
    told = {conflict.net for conflict in found.conflicts} | set(found.unserved)
    assert told | found.subnets.keys() == {name for name, _ in named}
    for name, subnet in named:
        assert subnet is None or found.subnets.get(name, subnet) == subnet


def test_ipv6_goes_with_the_third_octet_in_decimal_digits():
    found = allocate_subnets6([("a", net4("192.168.210.0/24")), ("b", net4("192.168.7.0/24"))])
    assert found.subnets == {"a": ula("210"), "b": ula("7")}


def test_an_ipv6_subnet_that_somebody_has_is_replaced_by_a_spare_one():
    found = allocate_subnets6(
        [("a", net4("10.1.3.0/24")), ("b", net4("10.2.3.0/24")), ("c", None), ("d", ula("1001"))],
        taken=[ula("1000")],
    )
    assert found.subnets == {"a": ula("3"), "b": ula("1002"), "c": ula("1003"), "d": ula("1001")}


def test_a_written_ipv6_subnet_is_honoured_first():
    found = allocate_subnets6([("a", net4("192.168.200.0/24")), ("b", ula("200"))])
    assert found.subnets == {"a": ula("1000"), "b": ula("200")}


def test_ipv6_conflicts_say_with_whom():
    found = allocate_subnets6(
        [("a", net6("fd00::/32")), ("b", net6("fd00:0:1::/48")), ("c", None)],
        taken=[net6("fd8f:1391:3a82::/48")],
    )
    assert found.subnets == {"a": net6("fd00::/32")}
    assert found.conflicts == (
        SubnetConflict(net="b", other="a"),
        SubnetConflict(net="c", other=None),
    )
