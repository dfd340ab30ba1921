"""Management nets and DNS: Lago's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.spec.checks.names import has_strict_labels, name_problem
from lago_sdk.spec.management import management_nets

if TYPE_CHECKING:
    from lago_sdk.spec.net import NetSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.sink import Sink


def check_management(spec: PrefixSpec, sink: Sink) -> None:
    """Check that each VM is on one management net, and that only those have DNS settings."""
    nets = management_nets(spec)
    _check_implied(spec, nets, sink)
    _check_vms(spec, nets, sink)
    is_alone = len(spec.nets) == 1
    for net in spec.nets:
        _check_dns(net, sink, is_management=is_alone or net.name in nets)
    mains = [net.name for net in spec.nets if net.main_dns]
    for name in mains[1:]:
        message = f"{mains[0]!r} and {name!r} both say 'main_dns: true'"
        sink.error(
            ("nets", name, "main_dns"), message, hint="keep one of them", code="two-main-dns"
        )


def _check_implied(spec: PrefixSpec, nets: tuple[str, ...], sink: Sink) -> None:
    for net in spec.nets:
        if net.name in nets and net.management is False:
            sink.warn(
                ("nets", net.name, "management"),
                f"{net.name!r} is the management net all the same: no net is marked, "
                "so the first by name is taken",
                hint="mark one: 'management: true'",
                code="implied-management",
            )


def _check_vms(spec: PrefixSpec, nets: tuple[str, ...], sink: Sink) -> None:
    known = {net.name for net in spec.nets}
    listed = " or ".join(repr(name) for name in nets)
    for vm in spec.vms:
        used = [nic.net for nic in vm.nics]
        touched = sorted({name for name in used if name in nets})
        if len(touched) > 1:
            second = (
                next(index for index, name in enumerate(used) if name in nets and name != used[0])
                if used[0] in nets
                else next(i for i, name in enumerate(used) if name == touched[1])
            )
            sink.error(
                ("domains", vm.name, "nics", second, "net"),
                f"the VM {vm.name!r} is on {len(touched)} management nets: {', '.join(touched)}",
                hint="leave it on one of them",
                code="two-management-nets",
            )
        elif not touched and used and all(name in known for name in used):
            sink.error(
                ("domains", vm.name, "nics"),
                f"the VM {vm.name!r} is on no management net",
                hint=f"add a nic on {listed}, or mark one of its nets 'management: true'",
                code="no-management-net",
            )


def _check_dns(net: NetSpec, sink: Sink, *, is_management: bool) -> None:
    path = ("nets", net.name)
    if not is_management:
        for name, value in (("dns_domain_name", net.dns_domain_name), ("main_dns", net.main_dns)):
            if value:
                sink.error(
                    (*path, name),
                    f"{name!r} is for management nets only, and {net.name!r} is none",
                    hint="mark the net 'management: true' or remove the key",
                    code="dns-off-management",
                )
        if net.dns_records:
            sink.warn(
                (*path, "dns_records"),
                f"nobody answers these records: {net.name!r} is not a management net",
                hint="move them to a management net",
                code="useless-dns-records",
            )
    if net.dns_domain_name:
        reason = name_problem(net.dns_domain_name)
        if reason is not None or not has_strict_labels(net.dns_domain_name):
            reason = reason or "host names may not have '_'"
            sink.error(
                (*path, "dns_domain_name"),
                f"{net.dns_domain_name!r} is no DNS domain: {reason}",
                hint="for example 'lab.test'",
                code="bad-dns-name",
            )
