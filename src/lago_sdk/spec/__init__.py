"""What was asked: frozen models of the init file, and the checks over the whole of it."""

from lago_sdk.spec.disk import (
    BuildStep,
    DiskBus,
    DiskCache,
    DiskFormat,
    DiskSpec,
    EmptyDisk,
    FileDisk,
    TemplateDisk,
    TemplateType,
)
from lago_sdk.spec.net import DhcpRange, NetSpec, NetType, SubnetChoice
from lago_sdk.spec.nic import NicModel, NicSpec
from lago_sdk.spec.prefix import PrefixSpec
from lago_sdk.spec.problems import Path, Problem, Severity, format_path
from lago_sdk.spec.vm import (
    BootDevice,
    Bootstrap,
    ConsoleType,
    Firmware,
    GraphicsType,
    ShareSpec,
    VideoModel,
    VMSpec,
)

__all__ = [
    "BootDevice",
    "Bootstrap",
    "BuildStep",
    "ConsoleType",
    "DhcpRange",
    "DiskBus",
    "DiskCache",
    "DiskFormat",
    "DiskSpec",
    "EmptyDisk",
    "FileDisk",
    "Firmware",
    "GraphicsType",
    "NetSpec",
    "NetType",
    "NicModel",
    "NicSpec",
    "Path",
    "PrefixSpec",
    "Problem",
    "Severity",
    "ShareSpec",
    "SubnetChoice",
    "TemplateDisk",
    "TemplateType",
    "VMSpec",
    "VideoModel",
    "format_path",
]
