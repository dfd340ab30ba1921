"""What is changed while a VM runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lago_sdk.vm.base import VMBase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lago_sdk.plan.models import DiskPlan, NicPlan
    from lago_sdk.spec.disk import DiskSpec
    from lago_sdk.spec.nic import NicSpec


class VMHot(VMBase):
    """Verbs for disks, nics, cables, processors and memory."""

    def attach_disk(self, disk: DiskSpec | Mapping[str, object]) -> DiskPlan:
        """Make a further disk and plug it in: at once where the VM runs, else at its next start.

        It stays until it is detached, over stops and starts.

        Args:
            disk: A `DiskSpec`, or a mapping as under ``disks`` of an init file, for example
                ``{"type": "empty", "name": "data", "size": "1G"}``. Relative paths start in the
                current directory.

        Returns:
            The disk as it was decided; ``dev`` is its name unless the guest calls it otherwise.

        Raises:
            SpecError: The mapping is no disk.
            VMError: The disk cannot be made or not be plugged in; nothing is left of it then.
        """
        from lago_sdk.service.hot.disks import attach_disk
        from lago_sdk.service.hot.specs import check_disk

        asked = check_disk(self._name, disk)
        self._prefix.replan(
            "attach a disk", lambda context: attach_disk(self._plan, asked, context)
        )
        return self.disks[-1]

    def detach_disk(self, name: str, *, timeout: float = 30.0) -> Path:
        """Take a disk out; its image is kept until the prefix is destroyed.

        Args:
            name: The disk; not the first one.
            timeout: Seconds that the guest may take to let go of it.

        Returns:
            The image, which `attach_disk` takes again: ``{"type": "file", "path": …}``.

        Raises:
            VMError: There is no such disk, or the guest does not let go of it.
        """
        from lago_sdk.service.hot.disks import detach_disk, get_disk

        path = self._prefix.path / get_disk(self._plan, name).path
        self._prefix.replan(
            "detach a disk",
            lambda context: detach_disk(self._plan, name, context, timeout=timeout),
        )
        return path

    def attach_nic(self, nic: NicSpec | Mapping[str, object] | str) -> NicPlan:
        """Plug a further nic in: at once where the VM runs, else at its next start.

        It stays until it is detached. In a guest that runs somebody has to configure it, as for
        example ``udhcpc -i eth1`` does on a net with DHCP.

        Args:
            nic: A `NicSpec`, a mapping as under ``nics`` of an init file, or the name of a net.

        Returns:
            The nic, with its MAC and addresses.

        Raises:
            NetNotFoundError: There is no such net.
            SpecError: The mapping is no nic, or its address or MAC cannot be had.
            VMError: It cannot be plugged in.
        """
        from lago_sdk.service.hot.nics import attach_nic
        from lago_sdk.service.hot.specs import check_nic

        asked = check_nic(self._name, nic)
        self._prefix.replan("attach a nic", lambda context: attach_nic(self._plan, asked, context))
        return self.nics[-1]

    def detach_nic(self, index: int, *, timeout: float = 30.0) -> None:
        """Take the nic ``eth<index>`` out; not the one that ssh goes over.

        Args:
            index: Its number, as ``nic.index`` has it.
            timeout: Seconds that the guest may take to let go of it.

        Raises:
            VMError: There is no such nic, or the guest does not let go of it.
        """
        from lago_sdk.service.hot.nics import detach_nic

        self._prefix.replan(
            "detach a nic",
            lambda context: detach_nic(self._plan, index, context, timeout=timeout),
        )

    def set_vcpus(self, count: int) -> None:
        """Give it so many virtual CPUs: at once where it runs, and from then on.

        A guest may have to be told to use one (``/sys/devices/system/cpu/cpu<N>/online``).

        Args:
            count: Up to ``max-vcpu`` of the spec.

        Raises:
            VMError: It has no places for so many, or the guest does not let go of one.
        """
        from lago_sdk.service.hot.cpus import set_vcpus

        self._prefix.replan(
            "set virtual CPUs", lambda context: set_vcpus(self._plan, count, context)
        )

    def set_memory(self, size: int, *, timeout: float = 30.0) -> None:
        """Give it so much memory: at once where it runs, and from then on.

        The guest gives memory back by its driver for the balloon (virtio_balloon), and sees less
        of it (``MemTotal``).

        Args:
            size: MiB, up to ``max-memory`` of the spec.
            timeout: Seconds that the guest may take.

        Raises:
            VMError: It cannot have so much, or its guest did not follow in time; it has what it
                had before then.
        """
        from lago_sdk.service.hot.memory import set_memory

        self._prefix.replan(
            "set memory", lambda context: set_memory(self._plan, size, context, timeout=timeout)
        )

    def set_link(self, index: int, *, is_up: bool) -> None:
        """Pull the cable of the nic ``eth<index>``, or plug it in, until the VM's next start.

        Raises:
            VMError: There is no such nic.
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.hot.nics import set_link

        set_link(self._plan, index, self._prefix.context, is_up=is_up)

    def has_link(self, index: int) -> bool:
        """Whether the cable is in the nic ``eth<index>``.

        Raises:
            VMError: There is no such nic.
            VMNotRunningError: The VM is not running.
        """
        from lago_sdk.service.hot.nics import has_link

        return has_link(self._plan, index, self._prefix.context)
