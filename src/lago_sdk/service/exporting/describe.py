"""The init file of an export: the same lab, from the files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lago_sdk.alloc.names import allocate_file_stem
from lago_sdk.plan.bootstrap import FACT_LOOK
from lago_sdk.service.making.chains import BASE, BASE_DIGEST
from lago_sdk.spec.disk import DiskFormat, DiskSpec, FileDisk, TemplateDisk, TemplateType
from lago_sdk.spec.net import SubnetChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lago_sdk.plan.models import NetPlan, NicPlan, Plan, VMPlan
    from lago_sdk.service.exporting.choose import DiskWork, ExportPlan
    from lago_sdk.service.exporting.model import ExportChoice
    from lago_sdk.spec.net import NetSpec
    from lago_sdk.spec.nic import NicSpec
    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec

_HERE = "$LAGO_INITFILE_PATH"
_LEFT_OUT = ("origin", "packages", FACT_LOOK)
"""Facts that are about where a template came from, long, or only about our look at it."""


def describe_export(
    export: ExportPlan, *, plan: Plan, asked: PrefixSpec, choice: ExportChoice
) -> PrefixSpec:
    """Return the spec of what is made from an export.

    Addresses are those of the prefix. Passwords are those of its init file: what the settings
    added is the settings' business again.

    Args:
        export: What is exported.
        plan: The plan of the prefix.
        asked: The spec that the prefix was made from.
        choice: How it is exported.
    """
    from lago_sdk.spec.prefix import PrefixSpec

    return PrefixSpec(
        nets=tuple(_describe_net(net) for net in plan.nets),
        vms=tuple(_describe_vm(vm, export, asked.get_vm(vm.name), choice) for vm in export.vms),
    )


def _describe_net(net: NetPlan) -> NetSpec:
    if net.gateway is None or net.spec.gw is not None or net.spec.subnet is not SubnetChoice.AUTO:
        return net.spec
    return attrs.evolve(net.spec, gw=str(net.gateway))


def _describe_nic(nic: NicPlan) -> NicSpec:
    if nic.ip is None:
        # Its MAC was made from the prefix's uuid, and the next prefix has another one.
        return attrs.evolve(nic.spec, mac=nic.mac)
    return attrs.evolve(nic.spec, ip=str(nic.ip))


def _describe_vm(vm: VMPlan, export: ExportPlan, asked: VMSpec, choice: ExportChoice) -> VMSpec:
    works = [work for work in export.disks if work.vm.name == vm.name]
    names = {str(path): name for path, name in export.files.items()}
    disks = [work for work in works if not (choice.ova and fits_appliance(work))]
    return attrs.evolve(
        vm.spec,
        ova=f"{_HERE}/{name_appliance(vm)}" if len(disks) < len(works) else None,
        disks=tuple(_describe_disk(work, choice) for work in disks),
        nics=tuple(_describe_nic(nic) for nic in vm.nics),
        kernel=_find_file(vm.spec.kernel, names),
        initrd=_find_file(vm.spec.initrd, names),
        deploy_scripts=tuple(f"{_HERE}/{name}" for name in export.scripts.get(vm.name, ())),
        root_password=asked.root_password,
        ssh_password=asked.ssh_password,
        ssh_user=asked.ssh_user,
    )


def fits_appliance(work: DiskWork) -> bool:
    """Whether a disk goes into an appliance; CD-ROMs stay beside it."""
    return work.disk.format is not DiskFormat.ISO


def name_appliance(vm: VMPlan) -> str:
    """Return the file name of the appliance that *vm* becomes."""
    return f"{allocate_file_stem(vm.name, taken=())}.ova"


def _find_file(path: str | None, names: Mapping[str, str]) -> str | None:
    return None if path is None else f"{_HERE}/{names[path]}"


def _describe_disk(work: DiskWork, choice: ExportChoice) -> DiskSpec:
    spec = work.disk.spec
    suffix = choice.compression.suffix if choice.compression else ""
    common = {
        "name": work.disk.name,
        "dev": work.disk.dev,
        "bus": spec.bus,
        "serial": spec.serial,
        "cache": spec.cache,
        "comment": spec.comment,
        "metadata": list_facts(work),
        "path": f"{_HERE}/{work.name}{suffix}",
    }
    if isinstance(spec, TemplateDisk):
        return TemplateDisk(**common, template_type=TemplateType.QCOW2)  # type: ignore[arg-type]
    return FileDisk(**common, format=work.disk.format, make_a_copy=True)  # type: ignore[arg-type]


def list_facts(work: DiskWork, *, everything: bool = False) -> dict[str, object]:
    """Return what is known of a disk: its own facts, the template's, and what it is a layer on.

    Args:
        work: The disk.
        everything: Leave nothing out because it is long.
    """
    below = {} if work.disk.backing is None else dict(work.disk.backing.metadata)
    found = {**below, **work.disk.spec.metadata}
    hidden = () if everything else _LEFT_OUT
    facts = {key: found[key] for key in found if key not in {*hidden, BASE, BASE_DIGEST}}
    if work.base is not None:
        facts |= {BASE: work.base.reference, BASE_DIGEST: work.base.image.digest}
    return facts
