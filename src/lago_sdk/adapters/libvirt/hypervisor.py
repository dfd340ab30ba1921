"""libvirt behind the `Hypervisor` port: the sum of its parts."""

from __future__ import annotations

from lago_sdk.adapters.libvirt.domains import LibvirtDomains
from lago_sdk.adapters.libvirt.networks import LibvirtNetworks


class LibvirtHypervisor(LibvirtDomains, LibvirtNetworks):
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

    def close(self) -> None:
        """Close the connection; domains and networks stay as they are."""
        self._connection.close()
