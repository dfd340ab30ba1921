"""The handle of a net, on fakes."""

import pytest
from fake_labs import lab_spec, make_lab, vm

from lago_sdk import NetNotFoundError, NetState, VMNotFoundError


@pytest.fixture
def prefix(tmp_path):
    spec = lab_spec(web=vm("lan", "back"), db=vm("lan"))
    spec["nets"]["back"] = {"type": "isolated", "subnet": "10.9.0.0/24", "mtu": 9000}
    spec["nets"]["wire"] = {"type": "isolated", "subnet": "none"}
    return make_lab(tmp_path, spec)[0]


def test_an_unknown_name_is_explained(prefix):
    assert list(prefix.nets) == ["back", "lan", "wire"]
    with pytest.raises(NetNotFoundError, match="did you mean 'lan'"):
        prefix.nets["lam"]


def test_what_is_told_comes_from_the_plan(prefix):
    lan, back, wire = (prefix.nets[name] for name in ("lan", "back", "wire"))
    assert (lan.is_management, back.is_management) == (True, False)
    assert (back.subnet, back.gateway, back.mtu) == ("10.9.0.0/24", "10.9.0.1", 9000)
    assert (wire.subnet, wire.gateway, wire.mtu) == (None, None, 1500)
    assert repr(back) == "<Net back 10.9.0.0/24>"
    assert repr(wire) == "<Net wire without addresses>"
    assert lan.plan.spec is lan.spec


def test_names_resolve_to_the_addresses_on_this_net(prefix):
    lan, back = prefix.nets["lan"], prefix.nets["back"]
    assert lan.resolve("db") == prefix.vms["db"].ip
    assert back.resolve("web-back") == str(prefix.vms["web"].nics[1].ip)
    assert dict(lan.mapping)["web"] == prefix.vms["web"].ip
    with pytest.raises(
        VMNotFoundError, match=r"nothing on the net 'back' .*did you mean 'web-back'"
    ):
        back.resolve("wbe-back")


def test_the_state_is_that_of_now(prefix):
    assert prefix.nets["lan"].state is NetState.DOWN
    prefix.start(["db"])
    assert prefix.nets["lan"].state is NetState.UP
    assert prefix.nets["back"].state is NetState.DOWN
    prefix.stop()
    assert prefix.nets["lan"].state is NetState.DOWN
