"""File systems of disks whose VMs are off, without booting anything where that can be done."""

from lago_sdk.adapters.offline.disks import LocalDisks
from lago_sdk.adapters.offline.guestfs import Guestfs

__all__ = ["Guestfs", "LocalDisks"]
