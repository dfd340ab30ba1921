"""Names of VMs and nets: what hosts, DNS and libvirt take."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.problems import Path
    from lago_sdk.spec.sink import Sink

MAX_LABEL = 63
"""Longest label of a DNS name (RFC 1035, section 2.3.4)."""
MAX_NAME = 253

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_LENIENT_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\Z")
_NET = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")
_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}\Z")


def check_names(spec: PrefixSpec, sink: Sink) -> None:
    """Check the names of VMs and nets."""
    for vm in spec.vms:
        _check_vm_name(vm.name, ("domains", vm.name), sink)
    for net in spec.nets:
        _check_net_name(net.name, ("nets", net.name), sink)
    _check_unique("domains", "VMs", (vm.name for vm in spec.vms), sink)
    _check_unique("nets", "nets", (net.name for net in spec.nets), sink)


def name_problem(name: str) -> str | None:
    """Say why *name* is no host name, or ``None``; underscores pass."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it is longer than {MAX_NAME} characters"
    if _ADDRESS.match(name):
        return "it looks like an address"
    for label in name.split("."):
        if len(label) > MAX_LABEL:
            return f"{label!r} is longer than {MAX_LABEL} characters"
        if not _LENIENT_LABEL.match(label):
            return (
                "only letters, digits, '-' and '.' are allowed, with a letter or digit at each end"
            )
    return None


def has_strict_labels(name: str) -> bool:
    """Whether every label of *name* has only letters, digits and inner hyphens."""
    return all(_LABEL.match(label) for label in name.split("."))


def _check_vm_name(name: str, path: Path, sink: Sink) -> None:
    reason = name_problem(name)
    if reason is not None:
        sink.error(
            path,
            f"the VM name {name!r} is no host name: {reason}",
            hint=_repaired(name),
            code="bad-vm-name",
        )
    elif not has_strict_labels(name):
        sink.warn(
            path,
            f"the VM name {name!r} has '_', which host names may not have",
            hint=_repaired(name),
            code="odd-vm-name",
        )


def _repaired(name: str) -> str | None:
    repaired = re.sub(r"[^A-Za-z0-9.]+", "-", name)[:MAX_LABEL].strip("-.")
    return f"for example {repaired!r}" if repaired and name_problem(repaired) is None else None


def _check_net_name(name: str, path: Path, sink: Sink) -> None:
    if _NET.match(name) and len(name) <= MAX_LABEL:
        return
    reason = (
        f"it is longer than {MAX_LABEL} characters"
        if len(name) > MAX_LABEL
        else "only letters, digits, '-', '_' and '.' are allowed"
    )
    message = f"the net name {name!r} cannot be used in DNS names: {reason}"
    sink.error(path, message, hint=_repaired(name), code="bad-net-name")


def _check_unique(section: str, what: str, names: Iterable[str], sink: Sink) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            message = f"{count} {what} are called {name!r}"
            sink.error((section, name), message, hint="rename one", code="duplicate-name")
