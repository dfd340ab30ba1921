"""libvirt's domains behind the `Domains` port."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lago_sdk.adapters.libvirt.errors import Reason, find_reason, tolerated, translated
from lago_sdk.adapters.libvirt.part import GONE, Part, is_active, parse_name
from lago_sdk.adapters.libvirt.states import describe_state
from lago_sdk.errors import HostError
from lago_sdk.ports import DomainInfo
from lago_sdk.state import VMState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class LibvirtDomains(Part):
    """The domains of a libvirtd, as a `lago_sdk.ports.Domains`."""

    def list_domains(self, prefix_uuid: str) -> tuple[DomainInfo, ...]:
        """See `Hypervisor.list_domains`.

        Tags are read from domains that were not seen before only.
        """
        import libvirt

        with self._doing("list domains") as connection:
            found = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
            infos = [
                _describe(domain, stats["state.state"], stats["state.reason"])
                for domain, stats in found
                if self._find_owner(domain) == prefix_uuid
            ]
        return tuple(sorted(infos, key=lambda info: info.name))

    def find_domain(self, name: str) -> DomainInfo | None:
        """See `Hypervisor.find_domain`."""
        with self._doing(f"look at domain {name!r}") as connection, tolerated(Reason.ABSENT):
            domain = connection.lookupByName(name)
            state, reason = domain.state()
            return _describe(domain, state, reason)
        return None

    def create_domain(self, xml: str) -> None:
        """See `Hypervisor.create_domain`.

        One that is active is left alone; a new one that does not start is forgotten again.
        """
        import libvirt

        name = parse_name(xml)
        with self._doing(f"start domain {name!r}") as connection:
            domain = _find_domain(connection, name)
            if domain is not None and domain.isActive():
                return
            is_new = domain is None
            # libvirtd (9.0) may fail to read its schema for two requests at the same time.
            with self._defining:
                domain = connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            try:
                domain.create()
            except libvirt.libvirtError as error:
                if is_active(domain):
                    return
                if is_new:
                    with tolerated(*GONE):
                        _undefine_domain(domain)
                raise error

    def end_domain(self, name: str) -> None:
        """See `Hypervisor.end_domain`."""
        with self._doing(f"power off domain {name!r}") as connection, tolerated(*GONE):
            connection.lookupByName(name).destroy()

    def shutdown_domain(self, name: str) -> None:
        """See `Hypervisor.shutdown_domain`; nothing happens when it is off or absent."""
        with self._doing(f"shut down domain {name!r}") as connection, tolerated(*GONE):
            domain = connection.lookupByName(name)
            if domain.isActive():
                _press_power_button(domain)

    def has_power_button(self, name: str) -> bool:
        """See `Domains.has_power_button`."""
        with self._with_domain(name, f"look at domain {name!r}") as domain:
            xml = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's
            return xml.find("features/acpi") is not None

    def reboot_domain(self, name: str) -> None:
        """See `Domains.reboot_domain`."""
        import libvirt

        with self._with_domain(name, f"reboot domain {name!r}") as domain:
            try:
                domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)
            except libvirt.libvirtError as error:
                if find_reason(error) is not Reason.INVALID:
                    raise
                domain.reboot(0)  # a driver that knows one way only

    def reset_domain(self, name: str) -> None:
        """See `Domains.reset_domain`."""
        with self._with_domain(name, f"reset domain {name!r}") as domain:
            domain.reset(0)
            _run_on(domain)

    @contextmanager
    def watch_reboot(self, name: str) -> Iterator[Callable[[], bool]]:
        """See `Domains.watch_reboot`; a reset of the machine is libvirt's event ``reboot``."""
        import libvirt

        action = f"watch domain {name!r}"
        happened = threading.Event()
        with self._doing(action) as connection:
            domain = connection.lookupByName(name)
            watch = connection.domainEventRegisterAny(
                domain, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, _note_reboot, happened
            )

        def has_rebooted() -> bool:
            if not happened.is_set() and not connection.isAlive():
                message = f"libvirtd went away while domain {name!r} was to reboot"
                raise HostError(message, hint="lagoctl status tells how it stands")
            return happened.is_set()

        try:
            yield has_rebooted
        finally:
            with translated(action), tolerated(Reason.UNREACHABLE):
                connection.domainEventDeregisterAny(watch)

    def suspend_domain(self, name: str) -> None:
        """See `Domains.suspend_domain`."""
        with self._with_domain(name, f"suspend domain {name!r}") as domain:
            state, reason = domain.state()
            if describe_state(state, reason)[0] is not VMState.PAUSED:
                domain.suspend()

    def resume_domain(self, name: str) -> None:
        """See `Domains.resume_domain`."""
        with self._with_domain(name, f"resume domain {name!r}") as domain:
            _run_on(domain)

    def remove_domain(self, name: str) -> None:
        """See `Hypervisor.remove_domain`."""
        with self._doing(f"remove domain {name!r}") as connection, tolerated(Reason.ABSENT):
            domain = connection.lookupByName(name)
            with tolerated(*GONE):
                domain.destroy()
            _undefine_domain(domain)


def _describe(domain: Any, state: int, reason: int) -> DomainInfo:
    known, why = describe_state(state, reason)
    return DomainInfo(name=domain.name(), uuid=domain.UUIDString(), state=known, reason=why)


def _find_domain(connection: Any, name: str) -> Any:
    with tolerated(Reason.ABSENT):
        return connection.lookupByName(name)
    return None


def _undefine_domain(domain: Any) -> None:
    """Forget a domain with all that libvirt keeps for it."""
    import libvirt

    kept = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    kept_by_qemu = (
        libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    try:
        domain.undefineFlags(kept | kept_by_qemu)
    except libvirt.libvirtError as error:
        if find_reason(error) is not Reason.INVALID:
            raise
        domain.undefineFlags(kept)  # a driver that knows no firmware variables


def _press_power_button(domain: Any) -> None:
    """Ask the guest to power off by ACPI, and not by its agent, which may not answer."""
    import libvirt

    try:
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        if find_reason(error) is not Reason.INVALID:
            raise
        domain.shutdown()  # a driver that knows one way only


def _run_on(domain: Any) -> None:
    """Resume or wake a domain; nothing happens when it runs."""
    state, _ = domain.state()
    known, _ = describe_state(state, 0)
    if known is VMState.SUSPENDED:
        domain.pMWakeup()
    elif known is not VMState.RUNNING:
        domain.resume()


def _note_reboot(_connection: Any, _domain: Any, happened: threading.Event) -> None:
    happened.set()
