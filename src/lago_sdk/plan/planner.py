"""From a spec to its plan. Pure: the same spec, uuid and facts give the same plan."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from lago_sdk.alloc.names import allocate_file_stem, prefixed_name
from lago_sdk.errors import SpecError
from lago_sdk.plan.bootstrap import check_bootstrap, choose_bootstrap
from lago_sdk.plan.disks import plan_disks
from lago_sdk.plan.dns import plan_dns
from lago_sdk.plan.facts import Taken
from lago_sdk.plan.models import Plan, VMPlan
from lago_sdk.plan.nets import find_dns_domain, plan_nets, plan_subnets
from lago_sdk.plan.nics import plan_nics
from lago_sdk.spec.management import main_dns_net, management_nets, management_of
from lago_sdk.spec.vm import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lago_sdk.plan.models import DiskPlan, Image
    from lago_sdk.plan.nets import NetDraft
    from lago_sdk.plan.nics import AddressedNic
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Problem
    from lago_sdk.spec.vm import VMSpec

_DOMAIN_NAMESPACE = UUID("6c61676f-5f73-4b64-8b2e-0d6f6d61696e")
"""Namespace of the uuids of domains (RFC 9562, version 5)."""

_NOTHING_TAKEN = Taken()
_NO_IMAGES: Mapping[str, Image] = MappingProxyType({})


def plan_prefix(
    spec: PrefixSpec,
    *,
    uuid: str,
    taken: Taken = _NOTHING_TAKEN,
    images: Mapping[str, Image] = _NO_IMAGES,
) -> Plan:
    """Decide every subnet, address, MAC, name and file of a prefix.

    Time grows linearly with VMs, nics and nets.

    Args:
        spec: What was asked; it has passed the checks of the whole spec.
        uuid: The prefix's uuid, 32 hex digits.
        taken: What others on a shared host use.
        images: Images of templates by ``name`` or ``name:version``, and of ``qcow2`` template
            disks by their ``path``; disks whose image is missing are planned without it.

    Raises:
        SpecError: With all that can only be seen here: subnets or addresses that run out,
            overlap or are given twice, addresses that are outside their subnet, and images that
            cannot be bootstrapped as asked.
    """
    problems: list[Problem] = []
    management = management_nets(spec)
    drafts = plan_subnets(spec, taken, problems)
    marked = frozenset(management)
    nets_of = {vm.name: net for vm in spec.vms if (net := management_of(vm, marked)) is not None}
    nics = plan_nics(spec.vms, drafts, uuid=uuid, management=nets_of, problems=problems)
    every_nic = [nic for found in nics.values() for nic in found]
    records = plan_dns(drafts, every_nic, management=management, problems=problems)
    nets = plan_nets(
        drafts,
        uuid=uuid,
        taken=taken,
        management=management,
        main_dns=main_dns_net(spec),
        dns_records=records,
        nic_macs=(nic.plan.mac for nic in every_nic),
        problems=problems,
    )
    if problems:
        raise SpecError(problems)
    vms = _plan_vms(spec.vms, uuid, nics, nets_of, drafts, images, problems)
    if problems:
        raise SpecError(problems)
    return Plan(uuid=uuid, vms=vms, nets=nets)


def _plan_vms(
    vms: Sequence[VMSpec],
    uuid: str,
    nics: Mapping[str, tuple[AddressedNic, ...]],
    management: Mapping[str, str],
    nets: Mapping[str, NetDraft],
    images: Mapping[str, Image],
    problems: list[Problem],
) -> tuple[VMPlan, ...]:
    logs: set[str] = set()
    stems: set[str] = set()
    seeds = {vm.name: _add_stem(stems, vm.name, "seed") for vm in vms}
    plans = []
    for vm in vms:
        disks = plan_disks(vm, images, stems)
        choice = choose_bootstrap(vm, disks, images)
        problems += check_bootstrap(vm, choice.road, disks, images)
        net = management.get(vm.name)
        plans.append(
            VMPlan(
                spec=vm,
                name=vm.name,
                domain=prefixed_name(uuid, vm.name),
                uuid=str(uuid5(_DOMAIN_NAMESPACE, f"{uuid}/{vm.name}")),
                nics=tuple(nic.plan for nic in nics[vm.name]),
                disks=disks,
                management=net or "",
                bootstrap=choice.road,
                bootstrap_reason=choice.reason,
                seed=f"images/{seeds[vm.name]}.iso" if choice.road is Bootstrap.SEED else None,
                console_log=f"logs/{_add_stem(logs, vm.name)}.console.log",
                hostname=vm.name,
                dns_domain=find_dns_domain(nets[net].spec, is_management=True) if net else None,
                distro=vm.distro or find_fact(disks, "distro"),
                ssh_user=vm.ssh_user or find_fact(disks, "ssh-user") or "root",
            )
        )
    return tuple(plans)


def _add_stem(stems: set[str], *parts: str) -> str:
    stem = allocate_file_stem(*parts, taken=stems)
    stems.add(stem)
    return stem


def find_fact(disks: Sequence[DiskPlan], key: str) -> str | None:
    """Return a fact of the first disk; what the spec says of the disk wins over its template."""
    if not disks:
        return None
    first = disks[0]
    below = {} if first.backing is None else first.backing.metadata
    value = first.spec.metadata.get(key, below.get(key))
    return value if isinstance(value, str) and value else None
