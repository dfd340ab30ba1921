"""Planning against a host: which subnets are reserved, and what a refusal leaves."""

from ipaddress import IPv4Network

import pytest
from fake_labs import LAN, checked, lab_spec, make_lab, vm

from lago_sdk.errors import SpecError, SubnetLeaseError, TemplateNotFoundError
from lago_sdk.plan.facts import Taken
from lago_sdk.ports import HostKind
from lago_sdk.service.layout import PrefixLayout
from lago_sdk.service.making.planning import decide_plan
from lago_sdk.testing import FakeHost, FakeTemplates, make_world

UUID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.fixture
def layout(tmp_path):
    layout = PrefixLayout(tmp_path / "default")
    layout.path.mkdir()
    layout.uuid.write_text(UUID)
    return layout


@pytest.fixture
def world():
    return make_world(host=FakeHost(kind=HostKind.SYSTEM))


def decide(world, layout, spec=None):
    spec = checked(lab_spec() if spec is None else spec)
    return decide_plan(spec, uuid=UUID, layout=layout, world=world)


def explicit(gateway):
    spec = lab_spec()
    spec["nets"]["lan"] = {**LAN, "gw": gateway}
    return spec


def subnets(plan):
    return tuple(str(net.subnet) for net in plan.nets)


def test_a_private_host_leases_nothing(layout):
    world = make_world()
    assert subnets(decide(world, layout)) == ("192.168.200.0/24",)
    assert world.leases.list_held(UUID) == ()
    assert world.host.calls == []


def test_a_shared_host_leases_what_is_planned(layout, world):
    plan = decide(world, layout, lab_spec(web=vm("lan", "back")))
    assert world.leases.list_held(UUID) == subnets(plan)
    assert len(set(subnets(plan))) == 2


def test_what_others_route_or_lease_is_left_out(layout):
    routed = Taken(subnets=frozenset({IPv4Network("192.168.200.0/24")}))
    world = make_world(host=FakeHost(kind=HostKind.SYSTEM, taken=routed))
    world.leases.hold("192.168.201.0/24")
    assert subnets(decide(world, layout)) == ("192.168.202.0/24",)


@pytest.mark.parametrize("races", [1, 5])
def test_who_loses_a_race_for_a_subnet_takes_the_next(layout, world, races):
    world.leases.lose_races(races)
    plan = decide(world, layout)
    assert subnets(plan) == (f"192.168.{200 + races}.0/24",)
    assert world.leases.list_held(UUID) == subnets(plan)


def test_a_race_lost_for_the_second_net_gives_the_first_back(layout, world):
    acquire = world.leases.acquire
    asked = []

    def lose_the_second(subnet, **holder):
        asked.append(subnet)
        if len(asked) == 2:
            world.leases.hold(subnet)
        acquire(subnet, **holder)

    world.leases.acquire = lose_the_second
    plan = decide(world, layout, lab_spec(web=vm("lan", "back")))
    assert world.leases.list_held(UUID) == subnets(plan)
    assert asked[1] not in subnets(plan)


def test_races_without_end_are_an_error_and_leave_nothing(layout, world):
    world.leases.lose_races(1000)
    with pytest.raises(SubnetLeaseError, match="/elsewhere/quicker"):
        decide(world, layout)
    assert world.leases.list_held(UUID) == ()


def test_a_template_that_nobody_has_leases_nothing(layout):
    host = FakeHost(kind=HostKind.SYSTEM)
    world = make_world(host=host, templates=FakeTemplates(["tinny"]))
    with pytest.raises(TemplateNotFoundError, match="did you mean 'tinny'"):
        decide(world, layout)
    assert world.leases.list_held(UUID) == ()


def test_an_explicit_subnet_that_is_leased_is_refused_and_keeps_nothing(layout, world):
    spec = explicit("192.168.210.1")
    spec["nets"]["back"] = {"type": "isolated"}
    spec["domains"]["db"]["nics"].append({"net": "back"})
    world.leases.hold("192.168.210.0/24", "/labs/ann")
    with pytest.raises((SpecError, SubnetLeaseError), match=r"192\.168\.210\.0/24"):
        decide(world, layout, spec)
    assert world.leases.list_held(UUID) == ()


def test_two_labs_on_one_host_do_not_meet(tmp_path, world):
    first, _ = make_lab(tmp_path, world=world, name="first")
    second, _ = make_lab(tmp_path, world=world, name="second")
    assert not set(subnets(first.plan)) & set(subnets(second.plan))
    first.destroy()
    third, _ = make_lab(tmp_path, world=world, name="third")
    assert subnets(third.plan) == ("192.168.200.0/24",)
