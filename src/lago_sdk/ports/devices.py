"""Devices of domains that run: plugged in, taken out, switched."""

from __future__ import annotations

from typing import Protocol


class Devices(Protocol):
    """Devices of the hypervisor's domains that run; their definitions stay as they are."""

    def attach_device(self, domain: str, xml: str) -> None:
        """Plug a device into a domain that runs.

        Args:
            domain: Name of the domain.
            xml: The device's element.

        Raises:
            HypervisorError: It is off, or the device cannot be plugged in.
        """

    def list_disk_devs(self, domain: str) -> tuple[str, ...]:
        """What the disks of a domain that runs are called: ``vda``, ``vdb``, …; seeds too."""

    def detach_disk(self, domain: str, dev: str, *, timeout: float) -> bool:
        """Take the disk called *dev* (``vdb``) out; returns whether the guest has let go of it.

        Args:
            domain: Name of the domain.
            dev: The disk's target; one that is not there counts as taken out.
            timeout: Seconds that the guest may take.
        """

    def detach_nic(self, domain: str, mac: str, *, timeout: float) -> bool:
        """Take the network card of a MAC out; else as `detach_disk`."""

    def set_link(self, domain: str, mac: str, *, is_up: bool) -> None:
        """Plug the cable into the network card of a MAC, or pull it.

        Raises:
            HypervisorError: The domain is off, or has no such card.
        """

    def find_link(self, domain: str, mac: str) -> bool | None:
        """Whether the cable is in the network card of a MAC; ``None`` where there is none."""

    def set_vcpus(self, domain: str, count: int) -> None:
        """Give a domain that runs *count* of the processors that it has places for.

        Raises:
            HypervisorError: It is off, has fewer places, or a processor cannot be taken out.
        """

    def set_memory(self, domain: str, size: int) -> None:
        """Ask the guest of a domain that runs to do with *size* MiB; returns at once.

        Raises:
            HypervisorError: It is off, has no balloon, or has less memory.
        """

    def get_memory(self, domain: str) -> int:
        """Return the MiB that the guest of a domain that runs has at present."""
