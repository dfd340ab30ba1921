"""The documents of a NoCloud seed, as cloud-init and its like read them at first boot.

Sources: cloud-init's documentation of the NoCloud data source, of the modules ``ssh``,
``set_passwords``, ``users_groups``, ``growpart`` and ``write_files``, and of network
configuration version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from lago_sdk.plan.models import AddressMethod
from lago_sdk.render.guest_nics import (
    full_name,
    initiator_name,
    list_addresses,
    list_routes,
    name_servers,
    route_metric,
)
from lago_sdk.render.yaml import render_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan

_HEADER = "#cloud-config\n"


def render_seed(
    vm: VMPlan,
    *,
    nets: Mapping[str, NetPlan],
    public_keys: Sequence[str],
    host_key_private: str,
    host_key_public: str,
) -> dict[str, bytes]:
    """Return the files of a VM's seed by name.

    What the init file gives as user data is kept: a map is merged under ours, and a text (a
    script, or a document of any type that cloud-init knows) is passed on as it is, with ours
    as vendor data beside it.

    Args:
        vm: The VM.
        nets: All nets of its prefix, by name.
        public_keys: Keys that may log in as the VM's user and as root: lines of
            ``authorized_keys``.
        host_key_private: Its Ed25519 host key in OpenSSH's format.
        host_key_public: The public half: a line of ``ssh_host_ed25519_key.pub``.
    """
    ours = _cloud_config(vm, public_keys, host_key_private, host_key_public)
    files = {
        "meta-data": render_yaml(_meta_data(vm, public_keys)),
        "network-config": render_yaml(network_config(vm, nets)),
    }
    given = vm.spec.user_data
    if isinstance(given, str):
        files["vendor-data"] = _HEADER + render_yaml(ours)
        files["user-data"] = given
    else:
        files["user-data"] = _HEADER + render_yaml(merge(given or {}, ours))
    return {name: text.encode() for name, text in files.items()}


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Return *base* with *over* laid on it.

    Maps are merged key by key, lists are joined (those of *over* first), and of anything else
    that of *over* is taken.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        elif isinstance(old, (list, tuple)) and isinstance(value, (list, tuple)):
            merged[key] = [*value, *(item for item in old if item not in value)]
        else:
            merged[key] = value
    return merged


def _meta_data(vm: VMPlan, public_keys: Sequence[str]) -> dict[str, object]:
    return {
        "instance-id": vm.uuid,
        "local-hostname": full_name(vm),
        "public-keys": [key.strip() for key in public_keys],
    }


def _cloud_config(
    vm: VMPlan, public_keys: Sequence[str], private: str, public: str
) -> dict[str, object]:
    keys = [key.strip() for key in public_keys]
    config: dict[str, object] = {
        "hostname": vm.hostname,
        "fqdn": full_name(vm),
        "manage_etc_hosts": "localhost",
        "disable_root": False,
        "ssh_authorized_keys": keys,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {
            # OpenSSH refuses a key file without the newline at its end.
            "ed25519_private": private.strip() + "\n",
            "ed25519_public": public.strip() + "\n",
        },
        "growpart": {"mode": "auto", "devices": ["/"]},
        "resize_rootfs": True,
        "write_files": [
            {
                "path": "/etc/iscsi/initiatorname.iscsi",
                "content": initiator_name(vm),
            }
        ],
    }
    if vm.ssh_user != "root":
        config["users"] = ["default", _user(vm.ssh_user, keys)]
    passwords = list_passwords(vm)
    if passwords:
        lines = [f"{user}:{password}" for user, password in passwords.items()]
        config["chpasswd"] = {"expire": False, "list": lines}
    if vm.spec.ssh_password:
        config["ssh_pwauth"] = True
    return config


def _user(name: str, keys: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": False,
        "ssh_authorized_keys": keys,
    }


def list_passwords(vm: VMPlan) -> dict[str, str]:
    """Return the passwords that somebody asked for, by users; there are no others."""
    passwords = {}
    if vm.spec.ssh_password:
        passwords[vm.ssh_user] = vm.spec.ssh_password
    if vm.spec.root_password:
        passwords["root"] = vm.spec.root_password
    return passwords


def network_config(vm: VMPlan, nets: Mapping[str, NetPlan]) -> dict[str, object]:
    """Return the network configuration of a guest, version 2, which is netplan's as well."""
    return {
        "version": 2,
        "ethernets": {f"eth{nic.index}": _ethernet(nic, vm, nets) for nic in vm.nics},
    }


def _ethernet(nic: NicPlan, vm: VMPlan, nets: Mapping[str, NetPlan]) -> dict[str, object]:
    net = nets[nic.net]
    config: dict[str, object] = {
        "match": {"macaddress": nic.mac.lower()},
        "set-name": f"eth{nic.index}",
        "dhcp4": nic.method is AddressMethod.DHCP,
    }
    metric = route_metric(nic, vm)
    if metric is not None:
        config["dhcp4-overrides"] = {"route-metric": metric}
    if nic.method is AddressMethod.NONE:
        # Without this, some guests wait for it at boot.
        config["optional"] = True
    addresses = list_addresses(nic, net)
    if addresses:
        config["addresses"] = list(addresses)
    routes = list_routes(nic, vm, net)
    if routes:
        config["routes"] = [attrs.asdict(route) for route in routes]
    servers, search = name_servers(nic, vm, net)
    if servers:
        names: dict[str, object] = {"addresses": list(servers)}
        if search:
            names["search"] = [search]
        config["nameservers"] = names
    if net.mtu != 1500:
        config["mtu"] = net.mtu
    return config
