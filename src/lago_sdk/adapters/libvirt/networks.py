"""libvirt's networks behind the `Networks` port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.errors import Reason, tolerated
from lago_sdk.adapters.libvirt.part import GONE, Part, is_active, parse_name
from lago_sdk.ports import DhcpLease
from lago_sdk.state import NetState

if TYPE_CHECKING:
    from collections.abc import Mapping


class LibvirtNetworks(Part):
    """The networks of a libvirtd, as a `lago_sdk.ports.Networks`."""

    def list_networks(self, prefix_uuid: str) -> Mapping[str, NetState]:
        """See `Hypervisor.list_networks`."""
        import libvirt

        states = {
            NetState.UP: libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE,
            NetState.DOWN: libvirt.VIR_CONNECT_LIST_NETWORKS_INACTIVE,
        }
        with self._doing("list networks") as connection:
            return {
                network.name(): state
                for state, flag in states.items()
                for network in connection.listAllNetworks(flag)
                if self._find_owner(network) == prefix_uuid
            }

    def find_network(self, name: str) -> NetState | None:
        """See `Hypervisor.find_network`."""
        with self._doing(f"look at network {name!r}") as connection, tolerated(Reason.ABSENT):
            return NetState.UP if connection.networkLookupByName(name).isActive() else NetState.DOWN
        return None

    def create_network(self, xml: str) -> None:
        """See `Hypervisor.create_network`.

        One that is active is left alone; a new one that does not start is forgotten again.
        """
        import libvirt

        name = parse_name(xml)
        with self._doing(f"start network {name!r}") as connection:
            network = _find_network(connection, name)
            if network is not None and network.isActive():
                return
            is_new = network is None
            network = connection.networkDefineXML(xml)
            try:
                network.create()
            except libvirt.libvirtError as error:
                if is_active(network):
                    return
                if is_new:
                    with tolerated(*GONE):
                        network.undefine()
                raise error

    def remove_network(self, name: str) -> None:
        """See `Hypervisor.remove_network`."""
        with self._doing(f"remove network {name!r}") as connection, tolerated(Reason.ABSENT):
            network = connection.networkLookupByName(name)
            with tolerated(*GONE):
                network.destroy()
            network.undefine()

    def list_dhcp_leases(self, name: str) -> tuple[DhcpLease, ...]:
        """See `Networks.list_dhcp_leases`."""
        none = (Reason.ABSENT, Reason.STATE, Reason.UNSUPPORTED)
        with self._doing(f"list DHCP leases of network {name!r}") as connection, tolerated(*none):
            leases = connection.networkLookupByName(name).DHCPLeases()
            return tuple(
                DhcpLease(mac=str(lease["mac"]).lower(), address=str(lease["ipaddr"]))
                for lease in leases
                if lease.get("mac")
            )
        return ()

    def reserve_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """See `Networks.reserve_address`."""
        import libvirt

        with self._doing(f"reserve an address in network {network!r}") as connection:
            command = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
            _update_host(connection, network, command, mac=mac, name=name, ip=address)

    def release_address(self, network: str, *, mac: str, name: str, address: str) -> None:
        """See `Networks.release_address`."""
        import libvirt

        action = f"release an address in network {network!r}"
        with self._doing(action) as connection, tolerated(*GONE):
            command = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
            _update_host(connection, network, command, mac=mac, name=name, ip=address)


def _update_host(connection: Any, network: str, command: int, **host: str) -> None:
    """Change a reservation of a network that runs, and of its definition."""
    import libvirt

    connection.networkLookupByName(network).update(
        command,
        libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
        -1,
        ET.tostring(ET.Element("host", host), encoding="unicode"),
        libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG,
    )


def _find_network(connection: Any, name: str) -> Any:
    with tolerated(Reason.ABSENT):
        return connection.networkLookupByName(name)
    return None
