"""What every part of a VM's handle works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lago_sdk.plan.models import DiskPlan, NicPlan, VMPlan
    from lago_sdk.prefix import Prefix
    from lago_sdk.spec.vm import VMSpec
    from lago_sdk.state import VMState


class VMBase:
    """What a VM is."""

    def __init__(self, prefix: Prefix, plan: VMPlan) -> None:
        self._prefix = prefix
        self._name = plan.name

    def __repr__(self) -> str:
        """``<VM web 192.168.200.2>``."""
        return f"<VM {self.name} {self.ip or 'without address'}>"

    @property
    def _plan(self) -> VMPlan:
        """What is decided now: disks and nics come and go."""
        return self._prefix.plan.get_vm(self._name)

    @property
    def name(self) -> str:
        """Its name: the key under ``domains`` and the guest's host name."""
        return self._name

    @property
    def spec(self) -> VMSpec:
        """What was asked."""
        return self._plan.spec

    @property
    def plan(self) -> VMPlan:
        """What was decided."""
        return self._plan

    @property
    def ip(self) -> str | None:
        """Its address on the management net; ``None`` when it has none."""
        from lago_sdk.service.guests.reach import find_address

        return find_address(self._plan)

    @property
    def ips(self) -> tuple[str, ...]:
        """All its planned addresses, in the order of its nics, IPv4 before IPv6."""
        found = ((nic.ip, nic.ip6) for nic in self._plan.nics)
        return tuple(str(address) for pair in found for address in pair if address is not None)

    @property
    def nics(self) -> tuple[NicPlan, ...]:
        """Its network interfaces."""
        return self._plan.nics

    @property
    def disks(self) -> tuple[DiskPlan, ...]:
        """Its disks."""
        return self._plan.disks

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups in the Ansible inventory."""
        return self.spec.groups

    @property
    def distro(self) -> str | None:
        """Distribution in the guest, where the spec or the template tells."""
        return self._plan.distro

    @property
    def iscsi_name(self) -> str:
        """Name of the iSCSI initiator that the guest is given."""
        return self._plan.iscsi_name

    @property
    def state(self) -> VMState:
        """Its state now; ``DOWN`` when it is not defined on its host.

        Raises:
            HostError: libvirtd does not answer.
        """
        return self._prefix.get_state(self.name)

    def require_running(self) -> None:
        """Return when the VM runs.

        Raises:
            VMNotRunningError: It does not; the message tells its state.
            HostError: Nobody can tell.
        """
        from lago_sdk.service.guests.reach import check_reachable

        check_reachable(self._plan, self._prefix.context)
