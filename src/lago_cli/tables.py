"""The status and the plan of a prefix, as data and as tables."""

from typing import TYPE_CHECKING

from lago_cli.output import render_table
from lago_cli.units import format_date

KEY_DIGITS = 12
"""Digits of a checkpoint's key that are shown."""

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Address

    from lago_cli.output import Data
    from lago_sdk import (
        CheckpointUse,
        DiskPlan,
        NetPlan,
        NetStatus,
        Plan,
        PrefixStatus,
        VMPlan,
        VMStatus,
    )


def status_data(status: "PrefixStatus") -> "Data":
    """Return a status in the structure that Lago wrote, with a few keys more.

    Passwords are left out.
    """
    checkpoint = describe_checkpoint(status.checkpoint)
    return {
        "Prefix": {
            "Base directory": status.path,
            "UUID": status.uuid,
            "Name": status.name,
            "Host": status.host,
            "Problem": status.problem,
            **({"Checkpoint": checkpoint} if checkpoint else {}),
            "Networks": {net.name: _net_status(net) for net in status.nets},
            "VMs": {vm.name: _vm_status(vm) for vm in status.vms},
        }
    }


def describe_checkpoint(use: "CheckpointUse | None") -> str:
    """Say what a lab has to do with the cache; empty where that is nothing."""
    from lago_sdk import CheckpointStage

    if use is None or use.key is None or use.made is None:
        return ""
    made = f"checkpoint {use.key[:KEY_DIGITS]} of {format_date(use.made)}"
    words = {
        CheckpointStage.FROZEN: f"made of {made}; start restores it",
        CheckpointStage.KEPT: f"kept as {made}",
        CheckpointStage.RESTORED: f"restored from {made}",
    }
    return words.get(use.stage, "")


def _net_status(net: "NetStatus") -> "Data":
    return {
        "gateway": net.gateway,
        "management": net.management,
        "network": net.network,
        "status": net.state.value,
        "subnet": net.subnet,
    }


def _vm_status(vm: "VMStatus") -> "Data":
    return {
        "distro": vm.distro,
        "domain": vm.domain,
        "ip": vm.ip,
        "metadata": as_data(dict(vm.metadata)),
        "NICs": {
            nic.name: {"network": nic.net, "ip": nic.ip or "N/A", "ip6": nic.ip6, "mac": nic.mac}
            for nic in vm.nics
        },
        "reason": vm.reason,
        "snapshots": ", ".join(vm.snapshots),
        "status": vm.state.value,
    }


def status_tables(status: "PrefixStatus") -> str:
    """Return a status for people: a line about the prefix, its VMs, its nets."""
    head = f"{status.name} on {status.host} in {status.path}"
    checkpoint = describe_checkpoint(status.checkpoint)
    if checkpoint:
        head += f"\n{checkpoint}"
    vms = [
        (
            vm.name,
            _state(vm),
            vm.ip,
            ", ".join(f"{nic.net}={nic.ip or nic.ip6 or '-'}" for nic in vm.nics),
            vm.distro,
            ", ".join(vm.snapshots),
        )
        for vm in status.vms
    ]
    nets = [
        (
            net.name,
            net.state.value,
            net.subnet,
            net.gateway,
            "yes" if net.management else None,
            net.network,
        )
        for net in status.nets
    ]
    tables = [
        render_table("", ("VM", "STATE", "ADDRESS", "NETS", "DISTRO", "SNAPSHOTS"), vms),
        render_table(
            "", ("NET", "STATE", "SUBNET", "GATEWAY", "MANAGEMENT", "LIBVIRT NETWORK"), nets
        ),
    ]
    return "\n\n".join([head, *tables])


def _state(vm: "VMStatus") -> str:
    """The state, and its reason where somebody has to look at it."""
    return f"{vm.state.value} ({vm.reason})" if vm.hint and vm.reason else vm.state.value


def list_remedies(status: "PrefixStatus") -> tuple[str, ...]:
    """Return what is wrong with a prefix and what can be done, a line each."""
    found = [f"{vm.name} is {_state(vm)}: {vm.hint}" for vm in status.vms if vm.hint]
    if status.problem:
        found.insert(0, f"{status.problem} ({status.hint})" if status.hint else status.problem)
    return tuple(found)


def plan_data(plan: "Plan") -> "Data":
    """Return a plan as data."""
    return {
        "uuid": plan.uuid,
        "nets": {net.name: _net_plan(net) for net in plan.nets},
        "vms": {vm.name: _vm_plan(vm) for vm in plan.vms},
    }


def _net_plan(net: "NetPlan") -> "Data":
    return {
        "type": net.spec.type.value,
        "management": net.is_management,
        "network": net.network,
        "bridge": net.bridge,
        "bridge_mac": net.bridge_mac,
        "subnet": _text(net.subnet),
        "gateway": _text(net.gateway),
        "subnet6": _text(net.subnet6),
        "gateway6": _text(net.gateway6),
        "dhcp_range": None if net.dhcp_range is None else [str(end) for end in net.dhcp_range],
        "dns_domain": net.dns_domain,
        "mapping": dict(net.mapping),
        "mtu": net.mtu,
    }


def _vm_plan(vm: "VMPlan") -> "Data":
    return {
        "domain": vm.domain,
        "uuid": vm.uuid,
        "hostname": vm.hostname,
        "dns_domain": vm.dns_domain,
        "distro": vm.distro,
        "memory": vm.spec.memory,
        "vcpu": vm.spec.vcpu,
        "management": vm.management,
        "bootstrap": vm.bootstrap.value,
        "bootstrap_reason": vm.bootstrap_reason,
        "ssh_user": vm.ssh_user,
        "seed": vm.seed,
        "console_log": vm.console_log,
        "nics": [
            {
                "net": nic.net,
                "mac": nic.mac,
                "ip": _text(nic.ip),
                "ip6": _text(nic.ip6),
                "method": nic.method.value,
            }
            for nic in vm.nics
        ],
        "disks": [
            {
                "name": disk.name,
                "dev": disk.dev,
                "bus": disk.bus.value,
                "format": disk.format.value,
                "path": disk.path,
                "template": disk.template,
                "backing": disk.backing.path if disk.backing else None,
                "owned": disk.owned,
            }
            for disk in vm.disks
        ],
    }


def plan_tables(plan: "Plan") -> str:
    """Return a plan for people: its nets, VMs, network interfaces and files."""
    nets = [
        (
            net.name,
            net.spec.type.value,
            _text(net.subnet),
            _text(net.gateway),
            _text(net.subnet6),
            _range(net.dhcp_range),
            net.dns_domain,
            "yes" if net.is_management else None,
            net.network,
            net.bridge,
        )
        for net in plan.nets
    ]
    net_head = (
        "NET",
        "TYPE",
        "SUBNET",
        "GATEWAY",
        "IPV6",
        "DHCP",
        "DOMAIN",
        "MANAGEMENT",
        "NETWORK",
        "BRIDGE",
    )
    vms = [
        (
            vm.name,
            f"{vm.spec.memory} MiB",
            str(vm.spec.vcpu),
            vm.hostname,
            vm.dns_domain,
            vm.ssh_user,
            vm.domain,
        )
        for vm in plan.vms
    ]
    vm_head = ("VM", "MEMORY", "VCPU", "HOSTNAME", "DOMAIN", "USER", "LIBVIRT")
    roads = [(vm.name, vm.bootstrap.value, vm.bootstrap_reason) for vm in plan.vms]
    nics = [
        (
            vm.name,
            f"eth{nic.index}",
            nic.net,
            _text(nic.ip),
            _text(nic.ip6),
            nic.mac,
            nic.method.value,
        )
        for vm in plan.vms
        for nic in vm.nics
    ]
    return "\n\n".join(
        [
            render_table("", net_head, nets),
            render_table("", vm_head, vms),
            render_table("", ("VM", "BOOTSTRAP", "BECAUSE"), roads),
            render_table("", ("VM", "NIC", "NET", "IP", "IPV6", "MAC", "METHOD"), nics),
            render_table("", ("VM", "DISK", "DEV", "FORMAT", "FILE", "FROM"), _files(plan.vms)),
        ]
    )


def _files(vms: "Sequence[VMPlan]") -> list[tuple[str | None, ...]]:
    rows: list[tuple[str | None, ...]] = []
    for vm in vms:
        rows += [
            (vm.name, disk.name, disk.dev, disk.format.value, disk.path, _origin(disk))
            for disk in vm.disks
        ]
        if vm.seed:
            rows.append((vm.name, "seed", None, "iso", vm.seed, None))
        rows.append((vm.name, "console", None, "text", vm.console_log, None))
    return rows


def _origin(disk: "DiskPlan") -> str | None:
    if disk.template:
        return f"template {disk.template}"
    return disk.backing.path if disk.backing else None


def _range(ends: "tuple[IPv4Address, IPv4Address] | None") -> str | None:
    return None if ends is None else f"{ends[0]} - {ends[1]}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def as_data(value: object) -> "Data":
    """Return free-form values as data; what is neither mapping, list nor scalar as its text."""
    if isinstance(value, dict):
        return {str(key): as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_data(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
