"""A small virtual data centre from one file: VMs, nets and disks, typed and rootless.

::

    from lago_sdk import Prefix

    with Prefix.create("LagoInitFile", workdir="lab") as prefix:
        prefix.start()
        prefix.vms["web"].ssh("systemctl is-active nginx").check()

Names are imported when they are first used (PEP 562), so that ``from lago_sdk import Prefix``
does not wait for libvirt, paramiko or YAML.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lago_sdk.adapters.hosts.findings import Finding
    from lago_sdk.adapters.plugins import InstalledPlugins, has_plugins
    from lago_sdk.config import AccelChoice, Config
    from lago_sdk.errors import (
        AgentError,
        CaptureError,
        CommandError,
        CommandTimeoutError,
        ConfigError,
        ConsoleError,
        DeployError,
        ExportError,
        HostError,
        HostKeyChangedError,
        HypervisorError,
        LagoError,
        LockedError,
        MissingToolError,
        NetInUseError,
        NetNotFoundError,
        PathNotFoundError,
        PrefixExistsError,
        PrefixNotFoundError,
        ServiceError,
        SnapshotError,
        SnapshotExistsError,
        SnapshotNotFoundError,
        SpecError,
        SSHError,
        SubnetLeaseError,
        TemplateError,
        TemplateInUseError,
        TemplateNotFoundError,
        ToolError,
        VMError,
        VMNotFoundError,
        VMNotRunningError,
        WaitTimeoutError,
        WorkdirError,
    )
    from lago_sdk.events import (
        Event,
        Note,
        Observer,
        Output,
        Progress,
        StageFailed,
        StageFinished,
        StageStarted,
    )
    from lago_sdk.handles.agent import Agent
    from lago_sdk.handles.console import Console
    from lago_sdk.handles.lines import GuestLines
    from lago_sdk.handles.service import Service
    from lago_sdk.handles.wait_for import WaitFor
    from lago_sdk.net import Net
    from lago_sdk.plan.models import DiskPlan, Image, NetPlan, NicPlan, Plan, VMPlan
    from lago_sdk.ports.agent import AgentState
    from lago_sdk.ports.extraction import Extraction, Skipped
    from lago_sdk.ports.images import Compression
    from lago_sdk.ports.machines import Machine, VMProvider
    from lago_sdk.ports.plugins import PluginInfo, PluginKind
    from lago_sdk.ports.services import RunInGuest, ServiceProvider
    from lago_sdk.prefix import Prefix
    from lago_sdk.results import CommandResult, Road
    from lago_sdk.service.checkpoints.model import (
        Checkpoint,
        CheckpointGarbage,
        CheckpointStage,
        CheckpointUse,
    )
    from lago_sdk.service.exporting.model import ExportedDisk, ExportReport
    from lago_sdk.service.guests.agent import GuestInterface, GuestOS
    from lago_sdk.service.guests.console import ConsoleSession
    from lago_sdk.service.observing.status import NetStatus, NicStatus, PrefixStatus, VMStatus
    from lago_sdk.service.observing.usage import VMLoad, VMUsage
    from lago_sdk.service.power.start import StartReport
    from lago_sdk.service.provisioning.deploy import DeployReport, ScriptRun
    from lago_sdk.service.seeing.capture import Capture, CaptureReport
    from lago_sdk.service.seeing.collect import CollectReport, VMArtifacts
    from lago_sdk.service.seeing.displays import Graphics
    from lago_sdk.service.seeing.extract import ExtractRoad
    from lago_sdk.service.seeing.forward import Address
    from lago_sdk.service.seeing.screens import Screenshot
    from lago_sdk.service.snapshots.model import (
        DiskState,
        Mechanism,
        RevertReport,
        Snapshot,
        SnapshotKind,
        SnapshotReport,
        VMSnapshot,
    )
    from lago_sdk.spec import (
        BootDevice,
        Bootstrap,
        BuildStep,
        ConsoleType,
        DhcpRange,
        DiskBus,
        DiskCache,
        DiskFormat,
        DiskSpec,
        EmptyDisk,
        FileDisk,
        Firmware,
        GraphicsType,
        NetSpec,
        NetType,
        NicModel,
        NicSpec,
        PrefixSpec,
        Problem,
        Severity,
        ShareSpec,
        SubnetChoice,
        TemplateDisk,
        TemplateType,
        VideoModel,
        VMSpec,
    )
    from lago_sdk.state import NetState, ServiceAction, ServiceState, VMState
    from lago_sdk.templates.archive import ExportedTemplate
    from lago_sdk.templates.catalogue import CatalogueEntry
    from lago_sdk.templates.gc import GarbageReport, TemplateInfo
    from lago_sdk.templates.repository import TemplateRepository
    from lago_sdk.templates.sources import OutdatedTemplate
    from lago_sdk.templates.store import Template, TemplateStore
    from lago_sdk.templates.usage import TemplateUse
    from lago_sdk.verbs import (
        build_template,
        check_init_file,
        diagnose,
        export_template,
        fetch_template,
        gc_checkpoints,
        gc_templates,
        get_checkpoint,
        get_template_info,
        import_template,
        list_catalogue,
        list_checkpoints,
        list_outdated_templates,
        list_plugins,
        list_template_infos,
        list_templates,
        open_plugins,
        plan_spec,
        remove_checkpoint,
        remove_template,
        verify_template,
    )
    from lago_sdk.vm import VM
    from lago_sdk.workdir import Workdir

_HOMES = {
    "lago_sdk.adapters.hosts.findings": "Finding",
    "lago_sdk.config": "AccelChoice Config",
    "lago_sdk.errors": (
        "AgentError CaptureError CommandError CommandTimeoutError ConfigError ConsoleError "
        "DeployError ExportError "
        "HostError HostKeyChangedError HypervisorError LagoError LockedError MissingToolError "
        "NetInUseError NetNotFoundError PathNotFoundError PrefixExistsError "
        "PrefixNotFoundError SSHError "
        "ServiceError SnapshotError SnapshotExistsError SnapshotNotFoundError SpecError "
        "SubnetLeaseError TemplateError TemplateInUseError "
        "TemplateNotFoundError ToolError VMError VMNotFoundError VMNotRunningError "
        "WaitTimeoutError WorkdirError"
    ),
    "lago_sdk.events": "Event Note Observer Output Progress StageFailed StageFinished StageStarted",
    "lago_sdk.handles.agent": "Agent",
    "lago_sdk.handles.console": "Console",
    "lago_sdk.handles.lines": "GuestLines",
    "lago_sdk.handles.service": "Service",
    "lago_sdk.handles.wait_for": "WaitFor",
    "lago_sdk.net": "Net",
    "lago_sdk.plan.models": "DiskPlan Image NetPlan NicPlan Plan VMPlan",
    "lago_sdk.adapters.plugins": "InstalledPlugins has_plugins",
    "lago_sdk.ports.agent": "AgentState",
    "lago_sdk.ports.images": "Compression",
    "lago_sdk.ports.machines": "Machine VMProvider",
    "lago_sdk.ports.plugins": "PluginInfo PluginKind",
    "lago_sdk.ports.services": "RunInGuest ServiceProvider",
    "lago_sdk.ports.extraction": "Extraction Skipped",
    "lago_sdk.prefix": "Prefix",
    "lago_sdk.results": "CommandResult Road",
    "lago_sdk.service.checkpoints.model": (
        "Checkpoint CheckpointGarbage CheckpointStage CheckpointUse"
    ),
    "lago_sdk.service.guests.agent": "GuestInterface GuestOS",
    "lago_sdk.service.exporting.model": "ExportReport ExportedDisk",
    "lago_sdk.service.seeing.collect": "CollectReport VMArtifacts",
    "lago_sdk.service.seeing.capture": "Capture CaptureReport",
    "lago_sdk.service.guests.console": "ConsoleSession",
    "lago_sdk.service.provisioning.deploy": "DeployReport ScriptRun",
    "lago_sdk.service.seeing.extract": "ExtractRoad",
    "lago_sdk.service.seeing.displays": "Graphics",
    "lago_sdk.service.seeing.forward": "Address",
    "lago_sdk.service.seeing.screens": "Screenshot",
    "lago_sdk.service.snapshots.model": (
        "DiskState Mechanism RevertReport Snapshot SnapshotKind SnapshotReport VMSnapshot"
    ),
    "lago_sdk.service.power.start": "StartReport",
    "lago_sdk.service.observing.status": "NetStatus NicStatus PrefixStatus VMStatus",
    "lago_sdk.service.observing.usage": "VMLoad VMUsage",
    "lago_sdk.spec": (
        "BootDevice Bootstrap BuildStep ConsoleType DhcpRange DiskBus DiskCache DiskFormat "
        "DiskSpec EmptyDisk FileDisk Firmware GraphicsType NetSpec NetType NicModel NicSpec "
        "PrefixSpec "
        "Problem Severity ShareSpec SubnetChoice TemplateDisk TemplateType VMSpec VideoModel"
    ),
    "lago_sdk.state": "NetState ServiceAction ServiceState VMState",
    "lago_sdk.templates.archive": "ExportedTemplate",
    "lago_sdk.templates.catalogue": "CatalogueEntry",
    "lago_sdk.templates.gc": "GarbageReport TemplateInfo",
    "lago_sdk.templates.repository": "TemplateRepository",
    "lago_sdk.templates.sources": "OutdatedTemplate",
    "lago_sdk.templates.store": "Template TemplateStore",
    "lago_sdk.templates.usage": "TemplateUse",
    "lago_sdk.verbs": (
        "build_template check_init_file diagnose export_template fetch_template gc_checkpoints "
        "gc_templates get_checkpoint get_template_info import_template list_catalogue "
        "list_checkpoints list_outdated_templates list_plugins list_template_infos "
        "list_templates open_plugins plan_spec remove_checkpoint remove_template verify_template"
    ),
    "lago_sdk.vm": "VM",
    "lago_sdk.workdir": "Workdir",
}
"""Public names by the module they live in."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "VM",
    "AccelChoice",
    "Address",
    "Agent",
    "AgentError",
    "AgentState",
    "BootDevice",
    "Bootstrap",
    "BuildStep",
    "Capture",
    "CaptureError",
    "CaptureReport",
    "CatalogueEntry",
    "Checkpoint",
    "CheckpointGarbage",
    "CheckpointStage",
    "CheckpointUse",
    "CollectReport",
    "CommandError",
    "CommandResult",
    "CommandTimeoutError",
    "Compression",
    "Config",
    "ConfigError",
    "Console",
    "ConsoleError",
    "ConsoleSession",
    "ConsoleType",
    "DeployError",
    "DeployReport",
    "DhcpRange",
    "DiskBus",
    "DiskCache",
    "DiskFormat",
    "DiskPlan",
    "DiskSpec",
    "DiskState",
    "EmptyDisk",
    "Event",
    "ExportError",
    "ExportReport",
    "ExportedDisk",
    "ExportedTemplate",
    "ExtractRoad",
    "Extraction",
    "FileDisk",
    "Finding",
    "Firmware",
    "GarbageReport",
    "Graphics",
    "GraphicsType",
    "GuestInterface",
    "GuestLines",
    "GuestOS",
    "HostError",
    "HostKeyChangedError",
    "HypervisorError",
    "Image",
    "InstalledPlugins",
    "LagoError",
    "LockedError",
    "Machine",
    "Mechanism",
    "MissingToolError",
    "Net",
    "NetInUseError",
    "NetNotFoundError",
    "NetPlan",
    "NetSpec",
    "NetState",
    "NetStatus",
    "NetType",
    "NicModel",
    "NicPlan",
    "NicSpec",
    "NicStatus",
    "Note",
    "Observer",
    "OutdatedTemplate",
    "Output",
    "PathNotFoundError",
    "Plan",
    "PluginInfo",
    "PluginKind",
    "Prefix",
    "PrefixExistsError",
    "PrefixNotFoundError",
    "PrefixSpec",
    "PrefixStatus",
    "Problem",
    "Progress",
    "RevertReport",
    "Road",
    "RunInGuest",
    "SSHError",
    "Screenshot",
    "ScriptRun",
    "Service",
    "ServiceAction",
    "ServiceError",
    "ServiceProvider",
    "ServiceState",
    "Severity",
    "ShareSpec",
    "Skipped",
    "Snapshot",
    "SnapshotError",
    "SnapshotExistsError",
    "SnapshotKind",
    "SnapshotNotFoundError",
    "SnapshotReport",
    "SpecError",
    "StageFailed",
    "StageFinished",
    "StageStarted",
    "StartReport",
    "SubnetChoice",
    "SubnetLeaseError",
    "Template",
    "TemplateDisk",
    "TemplateError",
    "TemplateInUseError",
    "TemplateInfo",
    "TemplateNotFoundError",
    "TemplateRepository",
    "TemplateStore",
    "TemplateType",
    "TemplateUse",
    "ToolError",
    "VMArtifacts",
    "VMError",
    "VMLoad",
    "VMNotFoundError",
    "VMNotRunningError",
    "VMPlan",
    "VMProvider",
    "VMSnapshot",
    "VMSpec",
    "VMState",
    "VMStatus",
    "VMUsage",
    "VideoModel",
    "WaitFor",
    "WaitTimeoutError",
    "Workdir",
    "WorkdirError",
    "build_template",
    "check_init_file",
    "diagnose",
    "export_template",
    "fetch_template",
    "gc_checkpoints",
    "gc_templates",
    "get_checkpoint",
    "get_template_info",
    "has_plugins",
    "import_template",
    "list_catalogue",
    "list_checkpoints",
    "list_outdated_templates",
    "list_plugins",
    "list_template_infos",
    "list_templates",
    "open_plugins",
    "plan_spec",
    "remove_checkpoint",
    "remove_template",
    "verify_template",
]


def __getattr__(name: str) -> object:
    """Import the public name *name* from the module it lives in."""
    try:
        module = _HOME_OF[name]
    except KeyError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
