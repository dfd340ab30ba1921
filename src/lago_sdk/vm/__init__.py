"""The handle of one VM."""

from __future__ import annotations

from lago_sdk.vm.files import VMFiles
from lago_sdk.vm.hot import VMHot
from lago_sdk.vm.power import VMPower
from lago_sdk.vm.seeing import VMSeeing
from lago_sdk.vm.shell import VMShell


class VM(VMPower, VMShell, VMFiles, VMSeeing, VMHot):
    """One VM of a prefix. Get it from ``prefix.vms``; it stays valid while the prefix does."""
