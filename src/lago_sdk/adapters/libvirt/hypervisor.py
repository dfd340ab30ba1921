"""libvirt behind the `Hypervisor` port: the sum of its parts."""

from __future__ import annotations

from lago_sdk.adapters.libvirt.agent import LibvirtAgents
from lago_sdk.adapters.libvirt.consoles import LibvirtConsoles
from lago_sdk.adapters.libvirt.devices import LibvirtDevices
from lago_sdk.adapters.libvirt.domains import LibvirtDomains
from lago_sdk.adapters.libvirt.networks import LibvirtNetworks
from lago_sdk.adapters.libvirt.screens import LibvirtScreens
from lago_sdk.adapters.libvirt.snapshots import LibvirtStates
from lago_sdk.adapters.libvirt.statistics import LibvirtStatistics


class LibvirtHypervisor(
    LibvirtAgents,
    LibvirtConsoles,
    LibvirtDevices,
    LibvirtDomains,
    LibvirtNetworks,
    LibvirtScreens,
    LibvirtStates,
    LibvirtStatistics,
):
    """The libvirtd at a URI, as a `lago_sdk.ports.Hypervisor`.

    It may be used by many threads at once. All methods raise `HostError` when the daemon cannot
    be reached and `HypervisorError` when it refuses.

    Args:
        uri: libvirt URI, for example ``qemu:///system``.
    """

    def version(self) -> int:
        """See `Hypervisor.version`."""
        with self._doing("ask for the version of libvirt") as connection:
            return int(connection.getLibVersion())

    def is_lost(self) -> bool:
        """Whether the daemon went away since it was connected to; the next call tries again."""
        return self._connection.is_lost()

    def close(self) -> None:
        """Close the connection; domains and networks stay as they are."""
        self._connection.close()
