"""VMs: sizes that make sense, keys that go together."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from lago_sdk.errors import suggest
from lago_sdk.spec.keys import find_key
from lago_sdk.spec.vm import LOCAL, Bootstrap, Firmware, GraphicsType, VideoModel, VMSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

MAX_VCPU = 1024
"""More than QEMU's ``q35`` machine takes is a slip of the keyboard."""
MAX_MEMORY = 16 * 1024**2
"""16 TiB, in MiB."""
HUGE_MEMORY = 512 * 1024
"""512 GiB, in MiB: from here on somebody may have meant KiB."""
MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[\w.-]+)?")
"""A host name or IPv4 address, or an IPv6 address, which its zone may follow (RFC 4007, 11)."""
MAX_TAG = 36
"""Bytes of a virtiofs tag (virtio 1.2, section 5.11.4)."""


def check_vm(vm: VMSpec, sink: Sink, plugins: Mapping[str, Collection[str]] | None = None) -> None:
    """Check what one VM says of itself; its disks and nics are checked elsewhere.

    Args:
        vm: The VM.
        sink: Takes the problems.
        plugins: Names that plugins add, by the key of the init file; ``None`` where nobody has
            looked.
    """
    path = ("domains", vm.name)
    _check_sizes(vm, path, sink)
    _check_cpu(vm, path, sink)
    _check_firmware(vm, path, sink)
    _check_words(vm, path, sink, plugins)
    _check_login(vm, path, sink)
    _check_shares(vm, path, sink)
    _check_display(vm, path, sink)
    _check_lists(vm, path, sink)
    if isinstance(vm.user_data, str) and not vm.user_data.startswith("#"):
        sink.warn(
            (*path, "user-data"),
            "cloud-init ignores user data that does not start with '#'",
            hint="start it with '#cloud-config' or '#!/bin/sh', or write a map",
            code="odd-user-data",
        )
    _check_bootstrap(vm, path, sink)
    if vm.xml is not None:
        _check_xml(vm.xml, (*path, "xml"), sink)


def _check_sizes(vm: VMSpec, path: Path, sink: Sink) -> None:
    if vm.memory < (0 if vm.ova else 1):
        message = f"a VM cannot run with {vm.memory} MiB of memory"
        sink.error((*path, "memory"), message, hint="for example 1024 or 2GiB", code="bad-size")
    elif vm.memory > MAX_MEMORY:
        message = f"{_as_tib(vm.memory)} of memory is more than any host has"
        hint = "a bare number is MiB; write '2GiB' to be sure"
        sink.error((*path, "memory"), message, hint=hint, code="bad-size")
    elif vm.memory >= HUGE_MEMORY:
        message = f"{vm.memory // 1024} GiB of memory is a lot for one VM"
        hint = "a bare number is MiB; write '2GiB' to be sure"
        sink.warn((*path, "memory"), message, hint=hint, code="huge-size")
    if vm.max_memory is not None and not vm.memory <= vm.max_memory <= MAX_MEMORY:
        message = f"a VM of {vm.memory} MiB of memory cannot have {vm.max_memory} MiB at most"
        hint = f"{vm.memory} MiB or more"
        sink.error((*path, "max-memory"), message, hint=hint, code="bad-size")
    if not (0 if vm.ova else 1) <= vm.vcpu <= MAX_VCPU:
        message = f"a VM cannot have {vm.vcpu} virtual CPUs"
        sink.error((*path, "vcpu"), message, hint=f"1 to {MAX_VCPU}", code="bad-size")
    if vm.max_vcpu is not None and not vm.vcpu <= vm.max_vcpu <= MAX_VCPU:
        message = f"a VM of {vm.vcpu} virtual CPUs cannot have {vm.max_vcpu} at most"
        hint = f"{vm.vcpu} to {MAX_VCPU}"
        sink.error((*path, "max-vcpu"), message, hint=hint, code="bad-size")
    if vm.boot_time_sec <= 0:
        message = f"no VM boots in {vm.boot_time_sec} seconds"
        hint = "600 is the default"
        sink.error((*path, "boot_time_sec"), message, hint=hint, code="bad-size")


def _as_tib(mebibytes: int) -> str:
    return f"{mebibytes / 1024**2:.0f} TiB"


def _check_cpu(vm: VMSpec, path: Path, sink: Sink) -> None:
    if vm.cpu_model is not None and vm.cpu_custom is not None:
        sink.error(
            (*path, "cpu_custom"),
            "'cpu_model' and 'cpu_custom' exclude each other",
            hint="remove one of them",
            code="cpu-model-and-custom",
        )


def _check_firmware(vm: VMSpec, path: Path, sink: Sink) -> None:
    if vm.secure_boot and vm.firmware is not Firmware.EFI:
        sink.error(
            (*path, "secure-boot"),
            "Secure Boot needs EFI firmware",
            hint="add 'firmware: efi'",
            code="secure-boot-without-efi",
        )
    if vm.kernel is None:
        for name, value in (("initrd", vm.initrd), ("cmdline", vm.cmdline)):
            if value is not None:
                sink.error(
                    (*path, name),
                    f"{name!r} does nothing without 'kernel'",
                    hint="add 'kernel: PATH', or remove the key",
                    code="missing-kernel",
                )


def _check_bootstrap(vm: VMSpec, path: Path, sink: Sink) -> None:
    if vm.user_data is not None and vm.bootstrap not in {Bootstrap.AUTO, Bootstrap.SEED}:
        sink.warn(
            (*path, "user-data"),
            f"'user-data' does nothing with 'bootstrap: {vm.bootstrap.value}'",
            hint="cloud-init reads it from a seed: use 'bootstrap: seed'",
            code="useless-key",
        )


def _check_display(vm: VMSpec, path: Path, sink: Sink) -> None:
    if vm.graphics is not GraphicsType.NONE and vm.video is VideoModel.NONE:
        sink.error(
            (*path, "graphics"),
            "there is no display to serve: 'video' is 'none'",
            hint="remove 'video: none'",
            code="graphics-without-video",
        )


def _check_words(
    vm: VMSpec, path: Path, sink: Sink, plugins: Mapping[str, Collection[str]] | None
) -> None:
    """Where a plugin may know more words than we do, these are warnings."""
    for name, choices in _CHOICES.items():
        value = getattr(vm, name)
        words = (*choices.words, *(plugins or {}).get(choices.key, ()))
        if value is not None and value not in words:
            tell = sink.error if name in _DECISIVE and plugins is not None else sink.warn
            tell(
                (*path, choices.key),
                f"{value!r} is no {choices.key} that comes with the library"
                + (" or a plugin" if plugins is not None else ""),
                hint=suggest(value, words),
                code="unknown-choice",
            )


_DECISIVE = frozenset({"vm_provider"})
"""Nobody runs a VM of an unknown provider: an error once it is known what plugins there are."""


def _check_login(vm: VMSpec, path: Path, sink: Sink) -> None:
    is_local = vm.vm_provider in LOCAL
    if not 0 < vm.ssh_port <= MAX_PORT:
        message = f"{vm.ssh_port} is no TCP port"
        sink.error((*path, "ssh-port"), message, hint=f"1 to {MAX_PORT}", code="bad-port")
    if vm.ssh_host is not None and not _HOST.fullmatch(vm.ssh_host):
        message = f"{vm.ssh_host!r} is neither an address nor a host name"
        hint = "for example 192.0.2.7 or build7.example.org; the port is 'ssh-port'"
        sink.error((*path, "ssh-host"), message, hint=hint, code="bad-address")
    elif vm.ssh_host is not None and is_local:
        message = "'ssh-host' does nothing: the VM runs here, and gets its address from its nets"
        hint = "add 'vm-provider: ssh' if it is there already"
        sink.warn((*path, "ssh-host"), message, hint=hint, code="useless-key")
    has_address = any(nic.ip or nic.ip6 for nic in vm.nics)
    if vm.vm_provider == "ssh" and vm.ssh_host is None and not has_address:
        message = f"nothing says where the machine {vm.name!r} is"
        hint = "add 'ssh-host: ADDRESS'"
        sink.warn((*path, "vm-provider"), message, hint=hint, code="no-address")


@attrs.frozen
class _Choices:
    key: str
    words: tuple[str, ...]


def _find_choices() -> dict[str, _Choices]:
    found: dict[str, _Choices] = {}
    for field in attrs.fields(VMSpec):
        key = find_key(field)
        if key is not None and key.choices:
            found[field.name] = _Choices(key.name, key.choices)
    return found


_CHOICES = _find_choices()


def _check_shares(vm: VMSpec, path: Path, sink: Sink) -> None:
    seen: set[str] = set()
    for index, share in enumerate(vm.shares):
        place = (*path, "shares", index)
        if not share.source:
            sink.error((*place, "source"), "the directory is empty", code="bad-share")
        if not share.tag or len(share.tag.encode()) > MAX_TAG:
            message = f"{share.tag!r} cannot be a virtiofs tag"
            hint = f"1 to {MAX_TAG} bytes"
            sink.error((*place, "tag"), message, hint=hint, code="bad-share")
        elif share.tag in seen:
            message = f"two shares have the tag {share.tag!r}"
            sink.error((*place, "tag"), message, hint="rename one", code="duplicate-tag")
        seen.add(share.tag)


def _check_lists(vm: VMSpec, path: Path, sink: Sink) -> None:
    boot = Counter(device.value for device in vm.boot)
    for word, count in boot.items():
        if count > 1:
            message = f"{word!r} is in the boot order {count} times"
            sink.error((*path, "boot"), message, hint="keep one", code="duplicate-boot")
    for index, artifact in enumerate(vm.artifacts):
        if not artifact.startswith("/"):
            sink.warn(
                (*path, "artifacts", index),
                f"{artifact!r} is not an absolute path in the guest",
                hint=f"did you mean '/{artifact}'?",
                code="relative-artifact",
            )


_OPENING = "<devices>"


def _check_xml(text: str, path: Path, sink: Sink) -> None:
    from xml.etree import ElementTree as ET

    try:
        ET.fromstring(f"{_OPENING}{text}</devices>")  # noqa: S314 - the user's own file
    except ET.ParseError as error:
        line, column = error.position
        column -= len(_OPENING) if line == 1 else 0
        sink.error(
            path,
            f"not well-formed XML: {str(error).partition(':')[0]} "
            f"at line {line}, column {column + 1} of the value",
            hint="elements for <devices>, or one <domain> element",
            code="bad-xml",
        )
