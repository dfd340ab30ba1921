"""Talking to the QEMU guest agent of a VM.

What the commands take and return is told in
https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html.
"""

from __future__ import annotations

import ipaddress
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import attrs

from lago_sdk.errors import AgentError, LagoError
from lago_sdk.ports.agent import AgentRefusedError, AgentSilentError, AgentState
from lago_sdk.service.observing.running import check_running, get_hypervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lago_sdk.plan.models import VMPlan
    from lago_sdk.ports import Hypervisor
    from lago_sdk.ports.agent import JSON
    from lago_sdk.service.context import PrefixContext

_ANSWER_SECONDS = 20.0
"""For an answer that takes the agent no time; a guest under emulation may be busy."""
_PING_SECONDS = 5.0
"""For an agent to show that it is there."""
_FREEZE_SECONDS = 120.0
"""For what may have to wait until disks have written everything."""
_THAW_TRIES = 3
_INSTALL = (
    "install and start qemu-guest-agent in the guest, or take a template that has it (debian-12)"
)

Address: TypeAlias = "ipaddress.IPv4Interface | ipaddress.IPv6Interface"


@attrs.frozen(kw_only=True)
class GuestInterface:
    """A network interface as the guest sees it."""

    name: str
    """The guest's name of it, for example ``eth0``."""
    mac: str | None
    """Its hardware address; the loopback may have none."""
    addresses: tuple[Address, ...]
    """With the lengths of their networks' prefixes."""


@attrs.frozen(kw_only=True)
class GuestOS:
    """What a guest's ``os-release`` and ``uname`` tell; empty where they do not."""

    id: str
    """Distribution, for example ``debian``."""
    name: str
    pretty_name: str
    version: str
    version_id: str
    """For example ``12``."""
    kernel: str
    """Release of the kernel."""
    machine: str
    """Architecture, for example ``x86_64``."""


class AgentLink:
    """The agent of one VM; its errors are sentences about that VM."""

    def __init__(self, vm: VMPlan, context: PrefixContext) -> None:
        self.vm = vm
        self.clock = context.world.clock
        self.scratch: str | None = None
        """Directory of the guest where the output of commands is kept, once it is known."""
        self._context = context

    def find_state(self) -> AgentState:
        """Look whether somebody in the guest has opened the agent's port."""
        return self._get_hypervisor().find_agent_state(self.vm.domain)

    def ask(
        self,
        command: str,
        arguments: Mapping[str, JSON] | None = None,
        *,
        timeout: float = _ANSWER_SECONDS,
    ) -> JSON:
        """Have the agent do *command* and return what it returned.

        Raises:
            AgentError: The agent is not there, does not answer in time, or refuses.
            VMNotRunningError: The VM is not running.
        """
        with self._telling() as hypervisor:
            return hypervisor.ask_agent(self.vm.domain, command, arguments or {}, timeout=timeout)

    def ping(self) -> None:
        """Return when the agent answers.

        Raises:
            AgentError: The agent is not there, or does not answer in time.
            VMNotRunningError: The VM is not running.
        """
        self.ask("guest-ping", timeout=_PING_SECONDS)

    def shut_down(self, *, reboot: bool) -> None:
        """Have the agent power the guest off, or reboot it.

        Raises:
            AgentError: The agent is not there, does not answer in time, or refuses.
            VMNotRunningError: The VM is not running.
        """
        with self._telling() as hypervisor:
            hypervisor.shut_down_by_agent(self.vm.domain, reboot=reboot)

    def error(self, message: str, *, hint: str | None = None) -> AgentError:
        """Return an error about this agent."""
        return AgentError(self.vm.name, f"{self.vm.name}: {message}", hint=hint)

    @contextmanager
    def _telling(self) -> Iterator[Hypervisor]:
        """Give the hypervisor to a block that asks the agent; say what its failure means."""
        hypervisor = self._get_hypervisor()
        try:
            yield hypervisor
        except AgentRefusedError as error:
            raise self._refusal(str(error)) from error
        except AgentSilentError as error:
            check_running(self.vm, hypervisor)
            raise self._silence(hypervisor, str(error)) from error
        except Exception:
            check_running(self.vm, hypervisor)
            raise

    def _refusal(self, message: str) -> AgentError:
        hint = None
        if "disabled" in message or "not found" in message.lower():
            hint = "the guest's own settings of qemu-ga may forbid that, or it is too old"
        if "frozen" in message:
            hint = "its file systems are frozen: thaw them first"
        return self.error(f"the guest agent refuses: {message}", hint=hint)

    def _silence(self, hypervisor: Hypervisor, message: str) -> AgentError:
        state = hypervisor.find_agent_state(self.vm.domain)
        if state is AgentState.ABSENT:
            text = "the VM has no port for a guest agent"
            return self.error(text, hint="it was not made by us, or its XML was changed")
        if state is AgentState.DISCONNECTED:
            text = "no guest agent: nobody in the guest has opened its port"
            return self.error(text, hint=_INSTALL)
        return self.error(
            f"the guest agent is there and does not answer: {message}",
            hint="the guest may be overloaded or hang; else: systemctl restart qemu-guest-agent",
        )

    def _get_hypervisor(self) -> Hypervisor:
        return get_hypervisor(self.vm, self._context, need="the guest agent")


def list_interfaces(link: AgentLink) -> tuple[GuestInterface, ...]:
    """Return the network interfaces that the guest has."""
    found = link.ask("guest-network-get-interfaces")
    return tuple(_read_interface(item) for item in _list_objects(found))


def get_os(link: AgentLink) -> GuestOS:
    """Return what the guest tells of its operating system."""
    found = _as_object(link.ask("guest-get-osinfo"))

    def tell(key: str) -> str:
        return str(found.get(key) or "")

    return GuestOS(
        id=tell("id"),
        name=tell("name"),
        pretty_name=tell("pretty-name"),
        version=tell("version"),
        version_id=tell("version-id"),
        kernel=tell("kernel-release"),
        machine=tell("machine"),
    )


def set_time(link: AgentLink, nanoseconds: int) -> None:
    """Set the guest's clock.

    Raises:
        AgentError: The agent refuses, and the clock is not near that time.
    """
    try:
        link.ask("guest-set-time", {"time": nanoseconds})
    except AgentError as error:
        # Guests without hwclock: the clock was set, and only the machine's own was not.
        if "hwclock" not in error.message:
            raise


def freeze(link: AgentLink) -> int:
    """Freeze the guest's file systems; returns how many."""
    count = link.ask("guest-fsfreeze-freeze", timeout=_FREEZE_SECONDS)
    return count if isinstance(count, int) else 0


def thaw(link: AgentLink) -> int:
    """Thaw the guest's file systems; returns how many were frozen."""
    count = link.ask("guest-fsfreeze-thaw", timeout=_FREEZE_SECONDS)
    return count if isinstance(count, int) else 0


@contextmanager
def frozen(link: AgentLink) -> Iterator[int]:
    """Keep the guest's file systems frozen for the block, and thaw them in any case."""
    try:
        count = freeze(link)
    except BaseException:
        # It may be frozen all the same: an answer can come too late.
        with suppress(LagoError):
            thaw(link)
        raise
    try:
        yield count
    finally:
        _thaw_surely(link)


def _thaw_surely(link: AgentLink) -> None:
    """Thaw, and try again where that fails: a frozen guest soon hangs."""
    for _further in range(_THAW_TRIES - 1):
        try:
            thaw(link)
        except AgentError:
            link.clock.sleep(1.0)
        else:
            return
    thaw(link)


def _read_interface(found: Mapping[str, JSON]) -> GuestInterface:
    mac = found.get("hardware-address")
    return GuestInterface(
        name=str(found["name"]),
        mac=str(mac) if mac else None,
        addresses=tuple(
            ipaddress.ip_interface(f"{item['ip-address']}/{item['prefix']}")
            for item in _list_objects(found.get("ip-addresses"))
        ),
    )


def _as_object(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list_objects(value: JSON) -> list[dict[str, JSON]]:
    return [_as_object(item) for item in value] if isinstance(value, list) else []
