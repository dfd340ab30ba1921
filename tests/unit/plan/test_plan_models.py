"""Looking things up in a plan."""

import pytest

from lago_sdk.errors import NetNotFoundError, VMNotFoundError
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import NetSpec, NicSpec, PrefixSpec, VMSpec

PLAN = plan_prefix(
    PrefixSpec(
        vms=(
            VMSpec(name="web", nics=(NicSpec(net="san"), NicSpec(net="lan"), NicSpec(net="lan"))),
        ),
        nets=(NetSpec(name="lan", management=True), NetSpec(name="san")),
    ),
    uuid="deadbeef0123456789abcdef01234567",
)


def test_vms_and_nets_are_found_by_name():
    assert PLAN.get_vm("web").name == "web"
    assert PLAN.get_net("san").name == "san"


def test_a_mistyped_vm_is_suggested():
    with pytest.raises(VMNotFoundError, match=r"no VM 'wbe'.*did you mean 'web'"):
        PLAN.get_vm("wbe")


def test_a_mistyped_net_is_suggested():
    with pytest.raises(NetNotFoundError, match=r"no net 'sna'.*did you mean 'san'"):
        PLAN.get_net("sna")


def test_the_management_nic_is_the_first_on_the_management_net():
    nic = PLAN.vms[0].management_nic
    assert nic is not None
    assert nic.index == 1
    assert PLAN.get_net("lan").mapping["web"] == str(nic.ip)
