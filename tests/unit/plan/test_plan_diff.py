"""What is left to do to bring a prefix up."""

import pytest

from lago_sdk.plan.diff import PlanDiff, diff_plan
from lago_sdk.plan.planner import plan_prefix
from lago_sdk.spec import NetSpec, PrefixSpec, VMSpec
from lago_sdk.state import NetState, VMState

PLAN = plan_prefix(
    PrefixSpec(
        vms=(VMSpec(name="b"), VMSpec(name="a")), nets=(NetSpec(name="z"), NetSpec(name="y"))
    ),
    uuid="deadbeef0123456789abcdef01234567",
)


def test_where_nothing_runs_everything_is_started_in_the_plans_order():
    diff = diff_plan(PLAN, domains={}, networks={})
    assert diff == PlanDiff(nets_to_start=("z", "y"), vms_to_start=("b", "a"))
    assert not diff.is_empty


def test_where_everything_runs_there_is_nothing_to_do():
    diff = diff_plan(
        PLAN,
        domains={"deadbeef-a": VMState.RUNNING, "deadbeef-b": VMState.BLOCKED},
        networks={"dead-z": NetState.UP, "dead-y": NetState.UP},
    )
    assert diff == PlanDiff(nets_up=("z", "y"), vms_up=("b", "a"))
    assert diff.is_empty


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (VMState.SHUT_OFF, PlanDiff(vms_to_start=("b",))),
        (VMState.CRASHED, PlanDiff(vms_to_start=("b",))),
        (VMState.UNKNOWN, PlanDiff(vms_to_start=("b",))),
        (VMState.PAUSED, PlanDiff(vms_to_resume=("b",))),
        (VMState.SUSPENDED, PlanDiff(vms_to_resume=("b",))),
        (VMState.SHUTTING_DOWN, PlanDiff(vms_up=("b",))),
    ],
)
def test_what_each_state_asks_for(state, expected):
    diff = diff_plan(
        PLAN, domains={"deadbeef-a": VMState.RUNNING, "deadbeef-b": state}, networks={}
    )
    assert diff.vms_to_start == expected.vms_to_start
    assert diff.vms_to_resume == expected.vms_to_resume
    assert diff.vms_up == tuple(sorted((*expected.vms_up, "a"), reverse=True))


def test_what_the_plan_does_not_have_is_named():
    diff = diff_plan(
        PLAN,
        domains={"deadbeef-x": VMState.RUNNING},
        networks={"dead-w": NetState.DOWN, "dead-z": NetState.DOWN},
    )
    assert diff.strangers == ("dead-w", "deadbeef-x")
    assert diff.nets_to_start == ("z", "y")
