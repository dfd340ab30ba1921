"""The one place that wires adapters to services."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lago_sdk.service.store import PrefixRecord
from lago_sdk.service.world import World

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from lago_sdk.adapters.hosts.findings import Finding
    from lago_sdk.adapters.plugins import InstalledPlugins
    from lago_sdk.config import Config
    from lago_sdk.events import Observer
    from lago_sdk.ports import (
        Barrier,
        Clock,
        Feature,
        Files,
        Guest,
        Host,
        ImageBuilder,
        ImageTool,
        KeyTool,
        OfflineDisks,
        SSHTarget,
    )
    from lago_sdk.service.checkpoints.store import CheckpointStore
    from lago_sdk.service.exporting.load import ExportTools
    from lago_sdk.service.layout import PrefixLayout
    from lago_sdk.templates.store import TemplateStore
    from lago_sdk.templates.usage import MarkedTemplates

PRIVATE = "private"
"""How a record spells the private host."""


def decide_record(
    config: Config, *, uuid: str, ephemeral: bool, cache: bool = False
) -> PrefixRecord:
    """Decide where a new prefix runs.

    Raises:
        HostError: This machine cannot run it; the hint says what to install or allow.
    """
    from importlib.metadata import version

    from lago_sdk.adapters.hosts.choose import choose_host

    return PrefixRecord(
        host=choose_host(config.host, ephemeral=ephemeral),
        run_dir=str(config.run_dir / uuid[:8]),
        accel=config.accel.value,
        ephemeral=ephemeral,
        cache=cache,
        version=version("lago_sdk"),
    )


def connect(
    layout: PrefixLayout,
    *,
    uuid: str,
    record: PrefixRecord,
    config: Config,
    observer: Observer,
) -> World:
    """Wire the adapters of one prefix; nothing is opened or started yet."""
    from lago_sdk.adapters import ova, relays
    from lago_sdk.adapters.fingerprints import LocalFingerprints
    from lago_sdk.adapters.http import download
    from lago_sdk.adapters.leases import FileSubnetLeases
    from lago_sdk.adapters.outside import dial_outside
    from lago_sdk.adapters.qemu_img import QemuImg
    from lago_sdk.adapters.seed_iso import SeedIso
    from lago_sdk.templates import packing

    host = _create_host(layout, uuid=uuid, record=record, config=config)
    has_kvm = _has_kvm_for_appliances(record)
    templates = _open_templates(layout, uuid=uuid, config=config, observer=observer)

    def dial(address: str, port: int, timeout: float) -> socket.socket:
        return host.dial(address, port, timeout=timeout)

    def open_guest(target: SSHTarget) -> Guest:
        from lago_sdk.adapters.ssh import SSHGuest

        return SSHGuest(target, dial_outside if target.is_outside else dial)

    return World(
        config=config,
        host=host,
        images=QemuImg(),
        packer=packing,
        disks=_create_disks(has_kvm=has_kvm),
        builders=_create_builders(has_kvm=has_kvm),
        archives=ova,
        download=download,
        seeds=SeedIso(),
        templates=templates,
        mark_used=templates.mark_image,
        leases=FileSubnetLeases(config.lease_dir),
        files=local_files(),
        keys=local_keys(),
        fingerprints=LocalFingerprints(config.cache_dir),
        clock=local_clock(),
        open_guest=open_guest,
        dial_outside=dial_outside,
        relays=relays,
        plugins=open_plugins(config, observer),
        observe=observer,
        find_missing=lambda: _find_missing(record),
        find_barrier=lambda path: _find_barrier(path, record),
        environ=local_environ(),
        proxy=local_proxy(),
        cpus=os.cpu_count() or 1,
    )


def open_plugins(config: Config, observer: Observer) -> InstalledPlugins:
    """Return the plugins that are installed; what is wrong with them is told to *observer*."""
    from lago_sdk.adapters.plugins import InstalledPlugins

    return InstalledPlugins(log_dir=config.state_dir, observer=observer)


def open_store(config: Config) -> TemplateStore:
    """Return the template store of the settings."""
    from lago_sdk.templates.store import TemplateStore

    return TemplateStore(config.template_store)


def open_checkpoints(config: Config) -> CheckpointStore:
    """Return the checkpoints that the settings' cache has."""
    from lago_sdk.service.checkpoints.store import CheckpointStore

    return CheckpointStore(config.checkpoints, local_files())


def _open_templates(
    layout: PrefixLayout, *, uuid: str, config: Config, observer: Observer
) -> MarkedTemplates:
    """Return where the templates of a prefix come from; what it gets is marked as used."""
    from lago_sdk.templates.fetch import FetchedTemplates
    from lago_sdk.templates.usage import MarkedTemplates

    store = open_store(config)
    source = FetchedTemplates(store, config=config, observer=observer)
    return MarkedTemplates(source, store, uuid_path=layout.uuid, uuid=uuid, observer=observer)


def open_export_tools(config: Config, observer: Observer) -> ExportTools:
    """Return what an export is looked at with, before there is a prefix."""
    from lago_sdk.adapters.qemu_img import QemuImg
    from lago_sdk.service.exporting.load import ExportTools
    from lago_sdk.templates import packing
    from lago_sdk.templates.fetch import FetchedTemplates

    return ExportTools(
        images=QemuImg(),
        packer=packing,
        templates=FetchedTemplates(open_store(config), config=config, observer=observer),
        observe=observer,
        cpus=os.cpu_count() or 1,
    )


def diagnose_hosts(config: Config) -> tuple[Finding, ...]:
    """Look at what this machine offers for running prefixes, without starting anything."""
    from lago_sdk.adapters.hosts.choose import list_findings

    return list_findings(config.host)


def local_files() -> Files:
    """Return the adapter for files of this machine."""
    from lago_sdk.adapters import files

    return files


def local_images() -> ImageTool:
    """Return the adapter for disk images of this machine."""
    from lago_sdk.adapters.qemu_img import QemuImg

    return QemuImg()


def local_disks() -> OfflineDisks:
    """Return the adapter that opens disks of this machine; its appliances do without KVM."""
    return _create_disks(has_kvm=False)


def local_keys() -> KeyTool:
    """Return the adapter that makes keys."""
    from lago_sdk.adapters import keys

    return keys


def local_environ() -> dict[str, str]:
    """Return the variables of our process, which paths of init files may use."""
    return dict(os.environ)


def local_clock() -> Clock:
    """Return the machine's clock."""
    return time


def local_proxy() -> tuple[str, ...]:
    """Return the command that connects other programs to guests on private hosts."""
    from importlib.util import find_spec

    found = find_spec("lago_sdk.proxy")
    assert found is not None
    assert found.origin is not None
    # Neither the caller's directory nor his environment can lead it astray.
    return (sys.executable, "-I", "-S", found.origin)


def _create_builders(*, has_kvm: bool) -> dict[str, ImageBuilder]:
    from lago_sdk.adapters.virt_customize import VirtCustomize

    return {"virt-customize": VirtCustomize(dict(os.environ), has_kvm=has_kvm)}


def _create_disks(*, has_kvm: bool) -> OfflineDisks:
    from lago_sdk.adapters.offline import Guestfs, LocalDisks

    return LocalDisks(Guestfs(dict(os.environ), has_kvm=has_kvm))


def _has_kvm_for_appliances(record: PrefixRecord) -> bool:
    """Appliances run here, whatever machine the prefix is on, and even if it insists on KVM."""
    from lago_sdk.adapters.cpu import find_accel
    from lago_sdk.config import AccelChoice
    from lago_sdk.plan.facts import Accel

    choice = AccelChoice.TCG if record.accel == AccelChoice.TCG.value else AccelChoice.AUTO
    return find_accel(choice)[0] is Accel.KVM


def _find_missing(record: PrefixRecord) -> Mapping[Feature, str]:
    """Look at this machine; another one's libvirt will tell by itself."""
    from lago_sdk.adapters.features import find_missing
    from lago_sdk.adapters.hosts.system import is_remote

    return {} if record.host != PRIVATE and is_remote(record.host) else find_missing()


def _find_barrier(path: Path, record: PrefixRecord) -> Barrier | None:
    """Look where QEMU is another user, and on this machine: on the system host."""
    from urllib.parse import urlsplit

    from lago_sdk.adapters.access import find_barrier
    from lago_sdk.adapters.hosts.system import is_remote

    is_system = urlsplit(record.host).path == "/system" and not is_remote(record.host)
    return find_barrier(path) if is_system else None


def _create_host(layout: PrefixLayout, *, uuid: str, record: PrefixRecord, config: Config) -> Host:
    from lago_sdk.config import AccelChoice

    accel = AccelChoice(record.accel)
    if record.host == PRIVATE:
        from lago_sdk.adapters.hosts.private import PrivateHost

        return PrivateHost(
            uuid=uuid,
            prefix_path=layout.path,
            run_dir=Path(record.run_dir),
            cache_dir=config.cache_dir,
            accel=accel,
            ephemeral=record.ephemeral,
        )
    from lago_sdk.adapters.hosts.system import SystemHost

    return SystemHost(uri=record.host, uuid=uuid, accel=accel)
