"""What VMs ask for that a host may lack, looked at before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.errors import HostError
from lago_sdk.plan.models import is_remote
from lago_sdk.ports import Feature, HostKind
from lago_sdk.spec.vm import Firmware, GraphicsType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lago_sdk.plan.models import NetPlan
    from lago_sdk.ports import Host
    from lago_sdk.spec.vm import VMSpec

_KEYS = {
    Feature.EFI: "firmware: efi",
    Feature.SECURE_BOOT: "secure-boot",
    Feature.TPM: "tpm",
    Feature.SHARES: "shares",
    Feature.SPICE: "graphics: spice",
}
"""The keys of the init file that ask for each."""


def list_features(vm: VMSpec) -> tuple[Feature, ...]:
    """Return what *vm* asks for."""
    asked = {
        Feature.EFI: vm.firmware is Firmware.EFI and not vm.secure_boot,
        Feature.SECURE_BOOT: vm.firmware is Firmware.EFI and vm.secure_boot,
        Feature.TPM: vm.tpm,
        Feature.SHARES: bool(vm.shares),
        Feature.SPICE: vm.graphics is GraphicsType.SPICE,
    }
    return tuple(feature for feature, is_asked in asked.items() if is_asked)


def check_features(
    vms: Iterable[VMSpec], find_missing: Callable[[], Mapping[Feature, str]]
) -> None:
    """Return when the host has all that *vms* ask for.

    Args:
        vms: The VMs; those that somebody else runs do not count.
        find_missing: Tells what the host lacks, and what to install for it; called only where
            a VM asks for something.

    Raises:
        HostError: It lacks something; names the VM and the package.
    """
    asked = [(vm, feature) for vm in vms if not is_remote(vm) for feature in list_features(vm)]
    missing = find_missing() if asked else {}
    for vm, feature in asked:
        if feature in missing:
            raise HostError(
                f"{vm.name!r} asks for {_KEYS[feature]!r}, and this host lacks {feature.value}",
                hint=f"install it: apt-get install {missing[feature]}",
            )


def check_bridges(nets: Iterable[NetPlan], host: Host) -> None:
    """Return when the host's own bridges that *nets* are plugged into are there.

    Raises:
        HostError: One is not.
    """
    if host.kind is HostKind.REMOTE:
        return  # its libvirt tells
    for net in nets:
        name = net.spec.bridge
        if name is None or host.run(["ip", "link", "show", "dev", name]).code == 0:
            continue
        message = f"the net {net.name!r} needs the bridge {name!r}, which this host does not have"
        hint = f"make it: ip link add {name} type bridge"
        if host.kind is HostKind.PRIVATE:
            hint = "a private host has none of the machine's bridges: use --host system"
        raise HostError(message, hint=hint)
