"""The documents of a NoCloud seed, as cloud-init and its like read them at first boot.

Sources: cloud-init's documentation of the NoCloud data source, of the modules ``ssh``,
``set_passwords``, ``users_groups``, ``growpart`` and ``write_files``, and of network
configuration version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lago_sdk.plan.models import AddressMethod
from lago_sdk.render.yaml import render_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lago_sdk.plan.models import NetPlan, NicPlan, VMPlan

_HEADER = "#cloud-config\n"
_MAIN_METRIC = 100
"""Metric of the default route over the management net; other nets come after it."""


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
        "network-config": render_yaml(_network_config(vm, nets)),
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


def _fqdn(vm: VMPlan) -> str:
    return f"{vm.hostname}.{vm.dns_domain}" if vm.dns_domain else vm.hostname


def _meta_data(vm: VMPlan, public_keys: Sequence[str]) -> dict[str, object]:
    return {
        "instance-id": vm.uuid,
        "local-hostname": _fqdn(vm),
        "public-keys": [key.strip() for key in public_keys],
    }


def _cloud_config(
    vm: VMPlan, public_keys: Sequence[str], private: str, public: str
) -> dict[str, object]:
    keys = [key.strip() for key in public_keys]
    config: dict[str, object] = {
        "hostname": vm.hostname,
        "fqdn": _fqdn(vm),
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
                "content": f"InitiatorName=iqn.2014-07.org.lago:{vm.name}\n",
            }
        ],
    }
    if vm.ssh_user != "root":
        config["users"] = ["default", _user(vm.ssh_user, keys)]
    passwords = _passwords(vm)
    if passwords:
        config["chpasswd"] = {"expire": False, "list": passwords}
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


def _passwords(vm: VMPlan) -> list[str]:
    """Return what ``chpasswd`` shall set: the init file's passwords, and no others."""
    passwords = {}
    if vm.spec.ssh_password:
        passwords[vm.ssh_user] = vm.spec.ssh_password
    if vm.spec.root_password:
        passwords["root"] = vm.spec.root_password
    return [f"{user}:{password}" for user, password in passwords.items()]


def _network_config(vm: VMPlan, nets: Mapping[str, NetPlan]) -> dict[str, object]:
    return {
        "version": 2,
        "ethernets": {f"eth{nic.index}": _ethernet(nic, vm, nets) for nic in vm.nics},
    }


def _ethernet(nic: NicPlan, vm: VMPlan, nets: Mapping[str, NetPlan]) -> dict[str, object]:
    net = nets[nic.net]
    is_main = nic is vm.management_nic
    config: dict[str, object] = {
        "match": {"macaddress": nic.mac.lower()},
        "set-name": f"eth{nic.index}",
        "dhcp4": nic.method is AddressMethod.DHCP,
    }
    if nic.method is AddressMethod.DHCP and len(vm.nics) > 1:
        metric = _MAIN_METRIC if is_main else 2 * _MAIN_METRIC + nic.index
        config["dhcp4-overrides"] = {"route-metric": metric}
    if nic.method is AddressMethod.NONE:
        # Without this, some guests wait for it at boot.
        config["optional"] = True
    addresses = _addresses(nic, net)
    if addresses:
        config["addresses"] = addresses
    if nic.method is AddressMethod.STATIC and is_main:
        config |= _main(nic, net)
    if net.mtu != 1500:
        config["mtu"] = net.mtu
    return config


def _addresses(nic: NicPlan, net: NetPlan) -> list[str]:
    """Return the addresses to write out, with their prefix lengths.

    An IPv6 address is always written out: DHCPv6 knows guests by a DUID that they make up.
    """
    if nic.method is AddressMethod.NONE:
        return []
    addresses = []
    if nic.ip and net.subnet and nic.method is AddressMethod.STATIC:
        addresses.append(f"{nic.ip}/{net.subnet.prefixlen}")
    if nic.ip6 and net.subnet6:
        addresses.append(f"{nic.ip6}/{net.subnet6.prefixlen}")
    return addresses


def _main(nic: NicPlan, net: NetPlan) -> dict[str, object]:
    """Return the default routes and name servers of a static nic on the management net."""
    routes = []
    if nic.ip and net.gateway:
        routes.append({"to": "0.0.0.0/0", "via": str(net.gateway)})
    if nic.ip6 and net.gateway6:
        routes.append({"to": "::/0", "via": str(net.gateway6)})
    config: dict[str, object] = {"routes": routes} if routes else {}
    server = net.gateway or net.gateway6
    if server:
        names: dict[str, object] = {"addresses": [str(server)]}
        if net.dns_domain:
            names["search"] = [net.dns_domain]
        config["nameservers"] = names
    return config
