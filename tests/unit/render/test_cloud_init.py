"""Seeds: what cloud-init reads out of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs
import pytest
from ruamel.yaml import YAML

from lago_sdk.plan.models import AddressMethod, NetPlan, NicPlan, VMPlan
from lago_sdk.render.cloud_init import merge, render_seed
from lago_sdk.spec.net import NetSpec
from lago_sdk.spec.nic import NicSpec
from lago_sdk.spec.vm import Bootstrap, VMSpec

KEY = "ssh-ed25519 AAAA user@host"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"
PUBLIC = "ssh-ed25519 BBBB web"


def net(name: str, **values) -> NetPlan:
    defaults = {
        "spec": NetSpec(name=name),
        "network": name,
        "bridge": name,
        "bridge_mac": "52:54:00:00:00:ff",
        "is_management": name == "lan",
        "subnet": IPv4Network("10.1.0.0/24"),
        "gateway": IPv4Address("10.1.0.1"),
        "subnet6": IPv6Network("fd00:1::/64"),
        "gateway6": IPv6Address("fd00:1::1"),
        "dns_domain": "lab.test" if name == "lan" else None,
    }
    return NetPlan(name=name, **(defaults | values))


def nic(index: int, name: str, method: AddressMethod, **values) -> NicPlan:
    mac = f"52:54:00:AA:00:0{index}"
    return NicPlan(spec=NicSpec(net=name), index=index, net=name, mac=mac, method=method, **values)


def vm(*nics: NicPlan, ssh_user: str = "root", **spec) -> VMPlan:
    return VMPlan(
        spec=VMSpec(name="web", **spec),
        name="web",
        domain="x-web",
        uuid="6f1d5f0e-0000-4000-8000-000000000001",
        nics=nics,
        disks=(),
        management="lan",
        bootstrap=Bootstrap.SEED,
        seed="seed.iso",
        console_log="web.log",
        hostname="web",
        dns_domain="lab.test",
        ssh_user=ssh_user,
    )


def render(plan: VMPlan, *nets: NetPlan) -> dict[str, bytes]:
    return render_seed(
        plan,
        nets={each.name: each for each in nets or (net("lan"), net("back"))},
        public_keys=[KEY + "\n"],
        host_key_private=PRIVATE,
        host_key_public=PUBLIC,
    )


def load(data: bytes):
    return YAML(typ="safe").load(data.decode())


def ethernets(plan: VMPlan, *nets: NetPlan):
    config = load(render(plan, *nets)["network-config"])
    assert config["version"] == 2
    return config["ethernets"]


def test_names_and_keys():
    files = render(vm())
    meta = load(files["meta-data"])
    assert meta["instance-id"] == "6f1d5f0e-0000-4000-8000-000000000001"
    assert meta["local-hostname"] == "web.lab.test"
    assert meta["public-keys"] == [KEY]
    assert files["user-data"].startswith(b"#cloud-config\n")
    user = load(files["user-data"])
    assert (user["hostname"], user["fqdn"]) == ("web", "web.lab.test")
    assert user["ssh_authorized_keys"] == [KEY]
    assert user["disable_root"] is False
    assert user["ssh_genkeytypes"] == ["ed25519"]
    assert user["ssh_keys"] == {"ed25519_private": PRIVATE, "ed25519_public": PUBLIC + "\n"}
    assert user["growpart"]["devices"] == ["/"]


def test_a_vm_without_a_domain_has_a_short_name():
    plan = attrs.evolve(vm(), dns_domain=None)
    assert load(render(plan)["user-data"])["fqdn"] == "web"


def test_no_password_is_set_where_none_was_asked_for():
    user = load(render(vm())["user-data"])
    assert "chpasswd" not in user
    assert "ssh_pwauth" not in user


def test_passwords_that_were_asked_for():
    user = load(render(vm(root_password="a:b", ssh_password="c", ssh_user="joe"))["user-data"])
    assert user["chpasswd"] == {"expire": False, "list": ["joe:c", "root:a:b"]}
    assert user["ssh_pwauth"] is True


def test_roots_password_wins_over_the_login_password_for_root():
    user = load(render(vm(root_password="a", ssh_password="b"))["user-data"])
    assert user["chpasswd"]["list"] == ["root:a"]


def test_another_user_is_made_and_gets_the_keys():
    users = load(render(vm(ssh_user="joe"))["user-data"])["users"]
    assert users[0] == "default"
    assert users[1]["name"] == "joe"
    assert users[1]["ssh_authorized_keys"] == [KEY]


def test_dhcp_nic():
    found = ethernets(vm(nic(0, "lan", AddressMethod.DHCP, ip=IPv4Address("10.1.0.5"))))
    assert found == {
        "eth0": {
            "match": {"macaddress": "52:54:00:aa:00:00"},
            "set-name": "eth0",
            "dhcp4": True,
        }
    }


def test_dhcp_nic_with_an_ipv6_address_has_it_written_out():
    address = IPv6Address("fd00:1::5")
    found = ethernets(vm(nic(0, "lan", AddressMethod.DHCP, ip6=address)))
    assert found["eth0"]["dhcp4"] is True
    assert found["eth0"]["addresses"] == ["fd00:1::5/64"]


def test_of_several_dhcp_nics_the_management_net_has_the_default_route():
    found = ethernets(vm(nic(0, "back", AddressMethod.DHCP), nic(1, "lan", AddressMethod.DHCP)))
    metrics = [found[name]["dhcp4-overrides"]["route-metric"] for name in ("eth0", "eth1")]
    assert metrics[1] < metrics[0]


def test_static_nic_on_the_management_net():
    plan = vm(
        nic(
            0,
            "lan",
            AddressMethod.STATIC,
            ip=IPv4Address("10.1.0.5"),
            ip6=IPv6Address("fd00:1::5"),
        )
    )
    assert ethernets(plan)["eth0"] == {
        "match": {"macaddress": "52:54:00:aa:00:00"},
        "set-name": "eth0",
        "dhcp4": False,
        "addresses": ["10.1.0.5/24", "fd00:1::5/64"],
        "routes": [
            {"to": "0.0.0.0/0", "via": "10.1.0.1"},
            {"to": "::/0", "via": "fd00:1::1"},
        ],
        "nameservers": {"addresses": ["10.1.0.1"], "search": ["lab.test"]},
    }


def test_static_nic_elsewhere_has_neither_routes_nor_name_servers():
    plan = vm(
        nic(0, "lan", AddressMethod.DHCP),
        nic(1, "back", AddressMethod.STATIC, ip=IPv4Address("10.1.0.6")),
    )
    found = ethernets(plan)["eth1"]
    assert found["addresses"] == ["10.1.0.6/24"]
    assert not {"routes", "nameservers"} & found.keys()


def test_an_ipv6_only_net():
    only6 = net("lan", subnet=None, gateway=None)
    plan = vm(nic(0, "lan", AddressMethod.STATIC, ip6=IPv6Address("fd00:1::5")))
    found = ethernets(plan, only6)["eth0"]
    assert found["addresses"] == ["fd00:1::5/64"]
    assert found["routes"] == [{"to": "::/0", "via": "fd00:1::1"}]
    assert found["nameservers"]["addresses"] == ["fd00:1::1"]


def test_a_nic_without_addresses_is_up_and_nobody_waits_for_it():
    plan = vm(nic(0, "lan", AddressMethod.NONE, ip=IPv4Address("10.1.0.5")))
    found = ethernets(plan)["eth0"]
    assert found["optional"] is True
    assert found["dhcp4"] is False
    assert "addresses" not in found


def test_a_vm_without_nics():
    assert ethernets(attrs.evolve(vm(), management="")) == {}


def test_only_an_unusual_mtu_is_written():
    plan = vm(nic(0, "lan", AddressMethod.DHCP))
    assert "mtu" not in ethernets(plan, net("lan"))["eth0"]
    assert ethernets(plan, net("lan", mtu=9000))["eth0"]["mtu"] == 9000


def test_a_users_map_is_merged_under_ours():
    given = {
        "hostname": "theirs",
        "packages": ["nginx"],
        "ssh_authorized_keys": ["ssh-rsa CCCC"],
        "growpart": {"mode": "off", "ignore_growroot_disabled": True},
    }
    files = render(vm(user_data=given))
    user = load(files["user-data"])
    assert user["hostname"] == "web"
    assert user["packages"] == ["nginx"]
    assert user["ssh_authorized_keys"] == [KEY, "ssh-rsa CCCC"]
    assert user["growpart"]["mode"] == "auto"
    assert user["growpart"]["ignore_growroot_disabled"] is True
    assert "vendor-data" not in files


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hi\n", "#cloud-config\nruncmd: [ls]\n"])
def test_a_users_text_is_passed_on_with_ours_beside_it(text):
    files = render(vm(user_data=text))
    assert files["user-data"] == text.encode()
    assert files["vendor-data"].startswith(b"#cloud-config\n")
    assert load(files["vendor-data"])["ssh_keys"]["ed25519_private"] == PRIVATE


def test_merging_changes_neither_side_and_repeats_nothing():
    base, over = {"a": [1, 2], "m": {"x": 1}}, {"a": [2, 3], "m": {"y": 2}}
    assert merge(base, over) == {"a": [2, 3, 1], "m": {"x": 1, "y": 2}}
    assert (base, over) == ({"a": [1, 2], "m": {"x": 1}}, {"a": [2, 3], "m": {"y": 2}})


def test_rendering_is_deterministic():
    assert render(vm(nic(0, "lan", AddressMethod.DHCP))) == render(
        vm(nic(0, "lan", AddressMethod.DHCP))
    )
