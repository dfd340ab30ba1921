"""The handle of a net, on fakes."""

import pytest
from fake_labs import lab_spec, make_lab, nets_up, network, running, vm

from lago_sdk import NetInUseError, NetNotFoundError, NetState, VMNotFoundError
from lago_sdk.errors import HypervisorError


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


class TestLifecycle:
    def test_a_net_comes_up_without_vms_and_brings_up_the_host(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        lan = prefix.nets["lan"]
        for _again in range(2):
            lan.start()
            assert lan.state is NetState.UP
        assert world.hypervisor.count("create_network") == 1
        assert running(prefix) == set()
        for _again in range(2):
            lan.stop()
            assert lan.state is NetState.DOWN
        assert not world.host.is_up()

    def test_a_net_that_does_not_start_leaves_no_host(self, tmp_path):
        prefix, world = make_lab(tmp_path)
        world.hypervisor.fail(network(prefix, "lan"), HypervisorError("refused"))
        with pytest.raises(HypervisorError, match="refused"):
            prefix.nets["lan"].start()
        assert not world.host.is_up()

    def test_a_net_in_use_stays_and_its_users_are_named(self, prefix):
        prefix.start()
        with pytest.raises(NetInUseError, match="'lan' is not stopped: web, db") as caught:
            prefix.nets["lan"].stop()
        assert caught.value.vms == ("web", "db")
        assert caught.value.hint == "stop them first: lagoctl stop web db"
        prefix.stop("web")
        prefix.nets["wire"].stop()
        assert nets_up(prefix) == {"lan"}

    def test_the_last_net_ends_the_host_only_when_no_vm_runs(self, tmp_path):
        spec = lab_spec(web=vm(nics=[]))
        spec["nets"] = {"spare": {"type": "isolated"}}
        prefix, world = make_lab(tmp_path, spec)
        prefix.start()
        prefix.nets["spare"].stop()
        assert world.host.is_up()
        assert running(prefix) == {"web"}
