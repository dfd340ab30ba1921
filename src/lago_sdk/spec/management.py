"""Which nets the library talks to VMs over (Lago's rules)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from lago_sdk.spec.prefix import PrefixSpec
    from lago_sdk.spec.vm import VMSpec


def management_nets(spec: PrefixSpec) -> tuple[str, ...]:
    """Return the names of the management nets, sorted.

    They are the nets marked ``management: true``; where none is marked, the first by name.
    Empty only when the spec has no nets.
    """
    marked = sorted(net.name for net in spec.nets if net.management)
    if marked:
        return tuple(marked)
    return tuple(sorted(net.name for net in spec.nets)[:1])


def main_dns_net(spec: PrefixSpec) -> str | None:
    """Return the management net whose DNS server answers for the other nets too.

    It is the one marked ``main_dns: true``, else the last management net by name; ``None``
    when the spec has no nets.
    """
    nets = management_nets(spec)
    chosen = sorted(net.name for net in spec.nets if net.main_dns and net.name in nets)
    return chosen[-1] if chosen else next(reversed(nets), None)


def management_of(vm: VMSpec, nets: Collection[str]) -> str | None:
    """Return the management net that *vm* is on.

    Args:
        vm: The VM.
        nets: What :func:`management_nets` returned for its spec.

    Returns:
        The net of its first nic on one of them, or ``None`` when it is on none.
    """
    return next((nic.net for nic in vm.nics if nic.net in nets), None)
